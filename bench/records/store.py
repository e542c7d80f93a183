"""Results files: append-only JSON Lines that many runs may share, read so that no damaged line costs another."""

from __future__ import annotations

import codecs
import os
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from bench.errors import BenchError
from bench.records.parsing import parse
from bench.records.record import Record

ARCHIVE = ".old.jsonl"
"""How the name of a file of replaced records ends."""
LOOKS = ".looks.jsonl"
"""How the name of a file of looks at claims ends (`bench.verdicts.history`)."""
NO_RECORDS = (ARCHIVE, LOOKS)
"""Endings of files that are never read as results."""
STARTS = re.compile(r'\{"sum":"[0-9a-f]{12}","schema":')


@dataclass(frozen=True)
class Content:
    """What stands in a results file."""

    records: list[Record]
    """In file order."""
    faults: tuple[str, ...]
    """One message a damaged line, and one for a torn last line: file, line and field."""


class Store:
    """The records of one suite and profile."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lock(self) -> FileLock:
        """Whoever holds it may write the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path.with_suffix(".lock"), timeout=60)

    def append(self, record: Record) -> None:
        """Write one record; see `extend`."""
        self.extend([record])

    def extend(self, records: Sequence[Record]) -> None:
        """Write records and flush them to the disk.

        A torn last line (a run was killed while writing) is first moved to `<file>.torn`.

        Raises:
            BenchError: the disk is full or the file cannot be written; what was there is untouched.
        """
        if not records:
            return
        lines = b"".join(record.line().encode() + b"\n" for record in records)
        try:
            with self.lock():
                self.set_torn_line_aside()
                before = self.path.stat().st_size if self.path.exists() else 0
                try:
                    with self.path.open("ab") as file:
                        file.write(lines)
                        file.flush()
                        os.fsync(file.fileno())
                except OSError:
                    if self.path.exists():
                        os.truncate(self.path, before)
                    raise
        except OSError as error:
            first, more = records[0], len(records) - 1
            raise BenchError(
                f"{self.path}: the record of {first.scenario}/{first.label} seed {first.seed}"
                f"{f' and {more} more' if more else ''} could not be written "
                f"({error.strerror or error}); earlier records are safe: make room and run the same command again"
            ) from error

    def set_torn_line_aside(self) -> None:
        """Move what follows the last line end to `<file>.torn`; a whole record that lacks but its line end gets one."""
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole == len(content):
            return
        if _read(_text(content[whole:]), str(self.path)).records:
            with self.path.open("ab") as file:
                file.write(b"\n")
            return
        with self.path.with_suffix(".jsonl.torn").open("ab") as torn:
            torn.write(content[whole:] + b"\n")
            torn.flush()
            os.fsync(torn.fileno())
        os.truncate(self.path, whole)

    def read(self) -> list[Record]:
        """All whole and sound records in file order."""
        return self.content().records

    def content(self) -> Content:
        """The records, and a message for every line that is damaged or torn."""
        if not self.path.exists():
            return Content([], ())
        *lines, tail = _text(self.path.read_bytes().removeprefix(codecs.BOM_UTF8)).split("\n")
        read = [_read(line, f"{self.path}:{number}") for number, line in enumerate(lines, 1)]
        last = _read(tail, f"{self.path}:{len(lines) + 1}")
        torn = (
            f"{self.path}:{len(lines) + 1}: the last line is torn (a run was killed while writing); "
            "the next run sets it aside, and computes its cell again"
        )
        return Content(
            [record for one in (*read, last) for record in one.records],
            (*(fault for one in read for fault in one.faults), *([torn] if last.faults else [])),
        )


def _text(content: bytes) -> str:
    """Bytes that are no UTF-8 stay what they are (as surrogates), so that a checksum sees them."""
    return content.decode("utf-8", errors="surrogateescape")


def _read(line: str, where: str) -> Content:
    records: list[Record] = []
    faults: list[str] = []
    for part in _parts(line):
        try:
            records.append(parse(part, where))
        except BenchError as error:
            faults.append(str(error))
    return Content(records, tuple(faults))


def _parts(line: str) -> list[str]:
    """A line whose end was damaged, cut where the next one starts: with its checksum.

    What stands in place of the line end (or before it, as on Windows) is one character behind the last brace.
    """
    starts = sorted({0, *(found.start() for found in STARTS.finditer(line))})
    parts = [line[start:end] for start, end in zip(starts, [*starts[1:], len(line)], strict=True)]
    return [part[:-1] if part[-2:-1] == "}" and part[-1] != "}" else part for part in parts if part]


def tell(faults: Iterable[str]) -> None:
    """Damaged lines as warnings."""
    for fault in faults:
        warnings.warn(fault, stacklevel=3)
