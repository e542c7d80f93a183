"""`join`: put the records of several results folders into one, as after a job array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from bench.errors import BenchError
from bench.records.record import Record, conflicts, same_numbers
from bench.records.store import LOOKS, NO_RECORDS, Store
from bench.verdicts import history


@dataclass
class Joined:
    """What became of one results file."""

    path: Path
    """The joined file."""
    added: int = 0
    known: int = 0
    """Records that were there already."""
    faults: list[str] = field(default_factory=list)
    """Damaged lines, which stay where they are, and records that contradict each other."""


def join(folders: Sequence[Path], into: Path) -> list[Joined]:
    """Add the records of results folders to those of another folder, which may be empty; the sources stay as they are.

    Args:
        folders: each holds `<suite>/<profile>.jsonl`. Archives are not joined; looks at claims are, by date.
        into: the folder that gets the records.

    Returns:
        One entry a results file.

    Raises:
        BenchError: a folder has no records or is the target, and nothing is joined; or a file cannot be written, and
            what was joined before stays: the same command goes on from there.
    """
    sources = [(folder, list(_results_files(folder))) for folder in folders]
    for folder, files in sources:
        if folder.resolve() == into.resolve():
            raise BenchError(f"{folder} is the folder that gets the records: name the others alone")
        if not files:
            raise BenchError(f"no records in {folder}: give folders that hold <suite>/<profile>.jsonl")
    found: dict[Path, Joined] = {}
    for folder, files in sources:
        for file in files:
            target = into / file.relative_to(folder)
            _add(file, found.setdefault(target, Joined(target)))
    for joined in found.values():
        joined.faults += conflicts(Store(joined.path).read())
        looks = joined.path.with_name(joined.path.stem + LOOKS)
        theirs = [folder / looks.relative_to(into) for folder, _ in sources]
        if entries := [entry for path in theirs for entry in history.read(path)]:
            history.add(looks, sorted(entries, key=attrgetter("date")))
    return list(found.values())


def _results_files(folder: Path) -> Iterator[Path]:
    """The results files of a folder: `<suite>/<profile>.jsonl`."""
    return (path for path in sorted(folder.glob("*/*.jsonl")) if not path.name.endswith(NO_RECORDS))


def _add(file: Path, joined: Joined) -> None:
    """Add a file's records that are not there yet."""
    content, store = Store(file).content(), Store(joined.path)
    there = {_question(record): record for record in store.read()}
    new: list[Record] = []
    for record in content.records:
        known = there.get(_question(record))
        if known is not None and _same(known, record):
            joined.known += 1
        else:
            new.append(record)
            there[_question(record)] = record
    store.extend(new)
    joined.added += len(new)
    joined.faults += content.faults


def _question(record: Record) -> tuple[object, ...]:
    return record.key, record.label, record.status, *sorted(record.digests.items())


def _same(one: Record, other: Record) -> bool:
    """Whether they say the same; seconds never come twice, so that boards of seconds go by the whole record."""
    if one.by_the_clock:
        return one.line() == other.line()
    return (one.reason, one.weights) == (other.reason, other.weights) and same_numbers(one, other)
