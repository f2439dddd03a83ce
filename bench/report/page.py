# SPDX-License-Identifier: Apache-2.0
"""The HTML file: one page without anything from elsewhere. Its content security policy allows its own style and script, by their
hashes, and nothing else: no network, no images, no frames, no forms."""
import base64
import hashlib
import os
import pathlib

from report.article import draw_article, draw_badge, headline, name_of, verdict_class, verdict_word
from report.markup import Markup, join, tag
from report.palette import theme_css

HERE = pathlib.Path(__file__).resolve().parent


def _hash(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _draw_page(title, body, is_summary):
    style = theme_css() + (HERE / "style.css").read_text(encoding="utf-8")
    script = (HERE / "page.js").read_text(encoding="utf-8")
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    head = tag("head", tag("meta", charset="utf-8"), tag("meta", http_equiv="Content-Security-Policy", content=policy),
               tag("meta", name="viewport", content="width=device-width, initial-scale=1"), tag("title", title),
               tag("style", Markup(style)))
    bar = tag("header", tag("span", "Penstock bench", class_="product"),
              tag("button", "Dark theme", type="button", id="theme", aria_pressed="false", hidden=True), class_="bar")
    page = tag("html", head, tag("body", tag("a", "Skip to the verdict", href="#main", class_="skip"), bar,
                                 tag("main", body, id="main", tabindex="-1", class_="summary" if is_summary else None),
                                 tag("script", Markup(script))), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _write(path, text):
    """A reader never sees half a report."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.rename(path)


def write_report(result, path):
    """Writes the report of one run (a result of schema 2) to `path`."""
    queue = (result.get("scenario") or {}).get("queue")
    title = f"{verdict_word(result)}: {name_of(result)}{f', queue {queue}' if queue else ''}"
    _write(path, _draw_page(title, draw_article(result, "run-1", 1), False))


def _queue_of(result):
    return str((result.get("scenario") or {}).get("queue") or "–")


def _passed_of(results):
    """One that failed decides. Without one, what has no verdict is not known."""
    found = [result.get("passed") for result in results]
    return False if False in found else None if None in found else True


def _sentence_of(results):
    sentences = []
    for passed, words in ((False, "did not pass"), (None, "had no verdict")):
        names = [f"{name_of(each)} ({_queue_of(each)})" for each in results if each.get("passed") is passed]
        if names:
            sentences.append(f"{len(names)} of {len(results)} runs {words}: {', '.join(names)}.")
    return " ".join(sentences) or f"All {len(results)} runs pass."


def _draw_summary(results):
    overall = {"passed": _passed_of(results)}
    sentence = _sentence_of(results)
    names = [label for label, _ in headline({})]
    head = tag("tr", *(tag("th", text, scope="col") for text in ("scenario", "queue", "verdict", *names)))
    rows = []
    for number, result in enumerate(results, 1):
        queue = _queue_of(result)
        cells = [tag("td", "–" if text == "not measured" else text) for _, text in headline(result)]
        rows.append(tag("tr", tag("th", tag("a", name_of(result), tag("span", f", queue {queue}", class_="hidden"), href=f"#run-{number}"),
                            scope="row"), tag("td", queue),
                        tag("td", draw_badge(result)), *cells))
    caption = "Each scenario with its queue: the verdict and the headline figures"
    shown = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *rows), class_="runs")
    return tag("section", tag("h1", "All scenarios"), tag("div", tag("p", draw_badge(overall), " ", tag("span", sentence, class_="sentence"), class_="words"),
                                                          class_=f"verdict {verdict_class(overall)}"),
               tag("div", shown, class_="scroll", tabindex="0", role="group", aria_label=caption))


def write_summary(results, path):
    """Writes one file for several runs: a table with all of them, and below it the report of each. There is at least one result."""
    articles = [draw_article(result, f"run-{number}", 2) for number, result in enumerate(results, 1)]
    word = verdict_word({"passed": _passed_of(results)})
    _write(path, _draw_page(f"{word}: all scenarios", join([_draw_summary(results), *articles]), True))
