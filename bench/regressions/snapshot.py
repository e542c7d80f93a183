"""The records of a results folder, of one results file, or of a git revision: one a cell, as boards choose them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.errors import BenchError
from bench.leaderboard.building import with_derived
from bench.records.counting import one_a_cell
from bench.records.record import Record
from bench.records.store import NO_RECORDS, Content, Store, content_of

RIGHT = "give a results folder, a .jsonl file, or a git revision (REV, or REV:FOLDER; FOLDER is `results` otherwise)"


class Place(NamedTuple):
    """What pairs the cells of two snapshots."""

    suite: str
    """With the stand-in behind an @, where another data set stands in."""
    profile: str
    scenario: str
    row: str
    seed: int


@dataclass(frozen=True)
class Snapshot:
    """Results at one time."""

    name: str
    """As it was asked for."""
    records: dict[Place, Record]
    """One a cell, with what its kind derives from its metrics."""
    faults: tuple[str, ...]
    """One message a damaged line."""


def snapshot(place: str) -> Snapshot:
    """Read a results folder, a results file, or a git revision of the present folder's repository.

    Where a suite is not known, a row has the label under which it was computed (`bench.load_results` says so too).

    Raises:
        BenchError: `place` is none of these, or holds no whole record.
    """
    files = dict(_on_disk(Path(place)) if Path(place).exists() else _at_revision(place))
    if not files:
        raise BenchError(f"{place}: no records there: a results file ends in .jsonl; {RIGHT}")
    records: dict[Place, Record] = {}
    for path, content in files.items():
        for record in one_a_cell(content.records):
            folder = path.parent.name
            suite = folder if folder.startswith(f"{record.suite}@") else record.suite
            where = Place(suite, record.profile, record.scenario, record.label, record.seed)
            records[where] = with_derived(record)
    faults = tuple(fault for content in files.values() for fault in content.faults)
    if not records:
        raise BenchError(f"{place}: no whole record there{f': {faults[0]}' if faults else ''}")
    return Snapshot(place, records, faults)


def _on_disk(place: Path) -> Iterator[tuple[Path, Content]]:
    for path in [place] if place.is_file() else sorted(place.rglob("*.jsonl")):
        if not path.name.endswith(NO_RECORDS):
            yield path, Store(path).content()


def _at_revision(place: str) -> Iterator[tuple[Path, Content]]:
    revision, _, folder = place.partition(":")
    # --end-of-options: a revision never reads as an option
    if not revision or _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}") is None:
        raise BenchError(f"{place!r} is neither a folder, nor a file, nor a git revision here: {RIGHT}")
    listed = _git("ls-tree", "-r", "-z", "--name-only", revision, "--", folder or "results") or b""
    for name in listed.decode().split("\0"):
        if name.endswith(".jsonl") and not name.endswith(NO_RECORDS):
            # `./`: names of ls-tree are those of the present folder
            content = _git("show", f"{revision}:./{name}")
            yield Path(name), content_of(content or b"", f"{revision}:{name}")


def _git(*words: str) -> bytes | None:
    """What git prints in the present folder; None where it fails."""
    try:
        return subprocess.run(["git", *words], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
