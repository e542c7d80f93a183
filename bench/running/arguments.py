"""What a run is asked for, held to the same rules whoever asks: the command line or Python."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import islice
from numbers import Integral
from pathlib import Path
from typing import Any, get_args

from bench.errors import BenchError
from bench.types import Parallel, Seed

MOST_SEEDS = 10_000


def seeds(asked: object) -> tuple[int, ...]:
    """Seeds in place of the suite's: any sequence of different whole numbers, NumPy's too. Raises BenchError."""
    right = "give different whole numbers from 0 on, like [0, 1, 2]"
    if isinstance(asked, str | bytes | dict) or not isinstance(asked, Iterable):
        raise BenchError(f"seeds = {asked!r}: {right}")
    try:
        found = list(islice(asked, MOST_SEEDS + 1))
    except TypeError:  # an array without dimensions
        raise BenchError(f"seeds = {asked!r}: {right}") from None
    if not found or len(found) > MOST_SEEDS:
        raise BenchError(f"{'no' if not found else f'more than {MOST_SEEDS}'} seeds: {right}")
    whole = tuple(_whole(seed, Seed, f"seed {seed!r}: {right}") for seed in found)
    if len(set(whole)) != len(whole):
        raise BenchError(f"seeds {list(whole)} repeat one: {right}")
    return whole


def jobs(asked: object) -> int | None:
    """Cells at once, or None for as many as the cores allow. Raises BenchError."""
    if asked is None:
        return None
    return _whole(asked, Parallel, f"jobs = {asked!r}: give a whole number from 1 on, or None for what the cores allow")


def device(asked: object) -> str:
    """`auto`, `cpu`, `cuda` or `cuda:1`. Raises BenchError; whether there is such a GPU is seen later."""
    text = asked if isinstance(asked, str) else ""
    name, colon, index = text.partition(":")
    if text not in ("auto", "cpu") and not (name == "cuda" and (index.isdecimal() if colon else True)):
        raise BenchError(f"device {asked!r}: give auto, cpu, cuda or cuda:1")
    return text


def text(asked: object, what: str) -> str | None:
    """A pattern or a name, or None. Raises BenchError."""
    if asked is not None and not isinstance(asked, str):
        raise BenchError(f"{what} = {asked!r}: give text, or None")
    return asked


def path(asked: object, what: str) -> Path:
    """The path of a file or a folder. Raises BenchError."""
    if not isinstance(asked, str | os.PathLike) or "\0" in os.fspath(asked):
        raise BenchError(f"{what} = {asked!r}: give a path")
    return Path(asked)


def results(asked: object) -> Path:
    """The folder of records; what is there already must be one. Raises BenchError."""
    folder = path(asked, "results")
    try:
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    except OSError as error:
        raise BenchError(f"results {folder}: {error.strerror or error}; give a folder") from error
    if not there.is_dir():
        raise BenchError(f"results {folder}: {there} is a file; give a folder")
    return folder


def plugins(asked: object) -> list[Path]:
    """Files with methods or scenarios of somebody's own. Raises BenchError."""
    if isinstance(asked, str | bytes | os.PathLike) or not isinstance(asked, Iterable):
        raise BenchError(f"plugins = {asked!r}: give a list of files, like ['mine.py']")
    return [path(file, "a plugin") for file in asked]


def _whole(asked: object, bounds: Any, message: str) -> int:
    """A whole number within the bounds of an annotated type; true and false are none."""
    if isinstance(asked, bool) or not isinstance(asked, Integral):
        raise BenchError(message)
    low, high = get_args(bounds)[1:]
    number = int(asked)
    if not low.ge <= number <= high.le:
        raise BenchError(f"{message}; it lies outside of {low.ge} to {high.le}")
    return number
