# SPDX-License-Identifier: Apache-2.0
"""Builds HTML and SVG. Every text is escaped unless it is Markup, which only tag() and join() make: so text of a result cannot
become an element or an attribute."""
import re

_VOID = {"meta", "br"}
# What HTML does not allow in a document: control characters, halves of surrogate pairs, noncharacters.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}


class Markup(str):
    """Text that is HTML already."""


def escape(value):
    if isinstance(value, Markup):
        return value
    text = _FORBIDDEN.sub("\ufffd", str(value))
    return Markup(re.sub("[&<>\"']", lambda found: _ENTITIES[found.group()], text))


def join(parts, between=""):
    """The parts one after the other; those that are None are left out."""
    return Markup(escape(between).join(escape(part) for part in parts if part is not None))


def tag(element, *children, **attributes):
    """An element. Of the names of attributes, `_` at the end is dropped and others become `-`; None and False leave an attribute out."""
    written = []
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        name = name.rstrip("_").replace("_", "-")
        written.append(f" {name}" if value is True else f' {name}="{escape(value)}"')
    head = f"<{element}{''.join(written)}>"
    return Markup(head if element in _VOID else f"{head}{join(children)}</{element}>")
