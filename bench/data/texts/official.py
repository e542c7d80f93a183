"""Corpora in the formats of their makers: labelled texts out of each one's own files."""

from __future__ import annotations

import csv
import html
import io
import re
from typing import TYPE_CHECKING

from bench.data.texts.plain import text_of
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_SCORE = re.compile(r"\[([+-])\s*(\d)?\]")
_REVIEW = re.compile(r"<title>(.*?)</title>.*?<review_text>(.*?)</review_text>", re.DOTALL)


def glue_sentences(path: Path, advice: str) -> Iterator[tuple[str, str]]:
    """SST-2 of GLUE: columns `sentence` and `label`, parted by a tab, no quoting."""
    lines = text_of(path, advice).split("\n")
    if lines[0].rstrip("\r") != "sentence\tlabel":
        raise DataError(f"{path} begins with {lines[0][:60]!r} and should with 'sentence<tab>label'; {advice}")
    for number, line in _lines(lines[1:], 2):
        sentence, label = _fields(path, advice, number, line, 2)
        yield label, sentence


def glue_judgements(path: Path, advice: str) -> Iterator[tuple[str, str]]:
    """CoLA: source, label, the author's own mark and sentence, parted by tabs, no head."""
    for number, line in _lines(text_of(path, advice).split("\n"), 1):
        _, label, _, sentence = _fields(path, advice, number, line, 4)
        yield label, sentence


def questions(path: Path, advice: str) -> Iterator[tuple[str, str]]:
    """TREC: `COARSE:fine question` in Latin-1; the coarse label."""
    for number, line in _lines(text_of(path, advice, "latin-1").split("\n"), 1):
        match = re.match(r"([A-Z]+):\w+ (.+)", line)
        if match is None:
            raise DataError(f"{path}, line {number}: {line[:60]!r} should be 'LABEL:kind question'; {advice}")
        yield match[1], match[2]


def news(path: Path, advice: str) -> Iterator[tuple[str, str]]:
    """AG News: class from 1 to 4, title and description, quoted with commas; backslashes stand for line ends."""
    names = {"1": "World", "2": "Sports", "3": "Business", "4": "Sci/Tech"}
    for number, row in enumerate(csv.reader(io.StringIO(text_of(path, advice), newline="")), start=1):
        if len(row) != 3 or row[0] not in names:
            raise DataError(f"{path}, row {number}: {','.join(row)[:60]!r} should be class 1-4, title, text; {advice}")
        yield names[row[0]], f"{row[1]} {row[2]}".replace("\\", " ")


def sentences(path: Path, advice: str) -> Iterator[tuple[str, str]]:
    """MR and Subj: a sentence a line, in Windows' Western encoding; the label is the file's, not in it."""
    for _, line in _lines(text_of(path, advice, "cp1252").split("\n"), 1):
        yield "", line


def scored(path: Path, advice: str) -> Iterator[tuple[str, str]]:
    """CR: `feature[+2],feature[-1]##sentence` in Latin-1; label 1 where the scores sum to more than 0, 0 where to less.

    Titles (`[t]`) and sentences without a score, or whose scores sum to nothing, are passed over.
    """
    found = False
    for _, line in _lines(text_of(path, advice, "latin-1").split("\n"), 1):
        marks, parted, sentence = line.partition("##")
        found |= bool(parted)
        total = sum(int(f"{sign}{size or 1}") for sign, size in _SCORE.findall(marks)) if parted else 0
        if total:
            yield str(int(total > 0)), sentence
    if not found:
        raise DataError(f"{path} has no line 'feature[+1]##sentence': it is altered or another file; {advice}")


def reviews(path: Path, advice: str) -> Iterator[tuple[str, str]]:
    """Amazon reviews: elements `title` and `review_text` of each `review`, in what only looks like XML.

    The whole file has one label, which is not in it.
    """
    for title, text in _REVIEW.findall(text_of(path, advice, "latin-1")):
        yield "", html.unescape(f"{title.strip()} {text.strip()}")


def quoted(path: Path, advice: str) -> Iterator[tuple[str, str]]:
    """Airline reviews: columns `sentence` and `label`, parted by a tab, quoted where need be."""
    rows = csv.reader(io.StringIO(text_of(path, advice), newline=""), delimiter="\t")
    if next(rows, None) != ["sentence", "label"]:
        raise DataError(f"{path} should begin with the columns sentence, label; {advice}")
    for number, row in enumerate(rows, start=1):
        if len(row) != 2:
            raise DataError(f"{path}, row {number}: {len(row)} fields and there should be 2; {advice}")
        yield row[1], row[0]


def _lines(lines: list[str], first: int) -> Iterator[tuple[int, str]]:
    return ((number, line.rstrip("\r")) for number, line in enumerate(lines, start=first) if line.strip())


def _fields(path: Path, advice: str, number: int, line: str, expected: int) -> list[str]:
    fields = line.split("\t")
    if len(fields) != expected:
        raise DataError(
            f"{path}, line {number}: {len(fields)} fields and there should be {expected}: it is half-downloaded or "
            f"altered; {advice}"
        )
    return fields


FORMATS: dict[str, Callable[[Path, str], Iterator[tuple[str, str]]]] = {
    "glue sentences": glue_sentences,
    "glue judgements": glue_judgements,
    "questions": questions,
    "news": news,
    "sentences": sentences,
    "scored": scored,
    "reviews": reviews,
    "quoted": quoted,
}
"""Name -> reader of one file: from its path, and advice for the end of a message, to label and text of each row.

All raise DataError where the file is torn, altered, or of another format; the message names file and line.
"""
