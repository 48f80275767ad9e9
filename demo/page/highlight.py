"""Texts of users and models as HTML that shows them, whatever is in them."""

from __future__ import annotations

from html import escape

AROUND = 150
"""Letters that are shown before and after an answer in a longer text."""


def shown(text: str) -> str:
    """A text as HTML; tags, entities and scripts in it stay text, line breaks are kept."""
    return escape(text).replace("\n", "<br>")


def marked(text: str, start: int, end: int) -> str:
    """A text as HTML, with the code points from `start` to `end` highlighted.

    Offsets beyond the text are cut to it; nothing is highlighted where they hold nothing.
    """
    start, end = max(0, min(start, len(text))), max(0, min(end, len(text)))
    if start >= end:
        return shown(text)
    return f"{shown(text[:start])}<mark>{shown(text[start:end])}</mark>{shown(text[end:])}"


def excerpt(text: str, start: int, end: int) -> tuple[str, bool]:
    """The part of a text around an answer, highlighted, and whether anything was left out.

    What is left out is a whole number of words, where there are words.
    """
    start, end = max(0, min(start, len(text))), max(0, min(end, len(text)))
    if len(text) <= end - start + 3 * AROUND:
        return marked(text, start, end), False
    first = max(0, start - AROUND)
    last = min(len(text), end + AROUND)
    if first:
        space = text.find(" ", first, start)
        first = space + 1 if space >= 0 else first
    if last < len(text):
        space = text.rfind(" ", end, last)
        last = space if space >= 0 else last
    before, after = "… " * (first > 0), " …" * (last < len(text))
    return before + marked(text[first:last], start - first, end - first) + after, True
