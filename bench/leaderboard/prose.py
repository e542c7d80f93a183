"""Docstrings as HTML: paragraphs, lists of dashes, indented blocks, and code between backticks."""

from __future__ import annotations

import re

from markupsafe import Markup, escape


def html(text: str) -> Markup:
    """A docstring, its lines without common indentation, as HTML; whatever else is in it stays text."""
    blocks = re.split(r"\n\s*\n", text.strip("\n"))
    return Markup("\n").join(_block(block) for block in blocks if block.strip())


def _block(block: str) -> Markup:
    lines = block.split("\n")
    if all(line.startswith("    ") for line in lines):
        return Markup("<pre>{}</pre>").format("\n".join(line[4:] for line in lines))
    if lines[0].startswith("- "):
        items = re.split(r"(?:^|\n)- ", block)[1:]
        return Markup("<ul>{}</ul>").format(Markup("").join(Markup("<li>{}</li>").format(_inline(i)) for i in items))
    return Markup("<p>{}</p>").format(_inline(block))


def _inline(text: str) -> Markup:
    flat = str(escape(" ".join(text.split())))
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", flat))
