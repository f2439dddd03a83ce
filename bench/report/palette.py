# SPDX-License-Identifier: Apache-2.0
"""The colours of both themes. Text has a contrast of at least 4.5 to what it is on, and lines of plots 3 (WCAG 2.2 AA): a test checks the
table. The colours of series stay apart for colour-blind people (after Okabe and Ito), and each has dashes of its own in style.css."""

# name: (light, dark)
COLOURS = {
    "page": ("#ffffff", "#14171b"),
    "panel": ("#f4f6f8", "#1d2127"),
    "ink": ("#1a1d21", "#e8eaed"),
    "muted": ("#4a535e", "#b0b8c2"),
    "rule": ("#d2d7dd", "#3a424c"),
    "grid": ("#e1e5ea", "#2d343c"),
    "link": ("#0a58a8", "#86bdf7"),
    "pass": ("#0a6336", "#74dd9f"),
    "pass-back": ("#e2f4e9", "#12301f"),
    "fail": ("#a3101c", "#ff9f9a"),
    "fail-back": ("#fde9e9", "#40191b"),
    "warn": ("#744600", "#f2c46d"),
    "warn-back": ("#fff3dc", "#33290f"),
    "mark": ("#7a1f6b", "#f0a3df"),
    "c0": ("#0068a8", "#5ab6ec"),
    "c1": ("#bd4f00", "#f2954e"),
    "c2": ("#00785a", "#3fcb9d"),
    "c3": ("#93467c", "#e39cc9"),
    "c4": ("#776800", "#e6d34a"),
    "c5": ("#4a5560", "#c5ccd5"),
}

# What is on what: (foreground, backgrounds, least contrast).
PAIRS = (
    ("ink", ("page", "panel", "pass-back", "fail-back", "warn-back"), 4.5),
    ("muted", ("page", "panel"), 4.5),
    ("link", ("page", "panel"), 4.5),
    ("pass", ("page", "panel", "pass-back"), 4.5),
    ("fail", ("page", "panel", "fail-back"), 4.5),
    ("warn", ("page", "panel", "warn-back"), 4.5),
    ("mark", ("page", "panel"), 4.5),
    *((f"c{number}", ("page", "panel"), 3) for number in range(6)),
)


def _luminance(colour):
    parts = [int(colour[at:at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _variables(theme):
    return " ".join(f"--{name}: {colours[theme]};" for name, colours in COLOURS.items())


def theme_css():
    """The system's theme, unless the page says another one; on paper always the light one."""
    light, dark = _variables(0), _variables(1)
    return (f":root {{ color-scheme: light; {light} }}\n"
            f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {{ color-scheme: dark; {dark} }} }}\n"
            f":root[data-theme=dark] {{ color-scheme: dark; {dark} }}\n"
            f"@media print {{ :root, :root[data-theme], :root:not([data-theme=light]) {{ color-scheme: light; {light} }} }}\n")
