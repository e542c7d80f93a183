"""Results files: append-only JSON Lines that many runs may share, read so that no damaged line costs another."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from bench.errors import BenchError
from bench.records import START, Record, parse


@dataclass(frozen=True)
class Content:
    """What stands in a results file."""

    records: list[Record]
    """In file order."""
    faults: tuple[str, ...]
    """One message a damaged line: file, line and field."""


class Store:
    """The records of one suite and profile."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lock(self) -> FileLock:
        """Whoever holds it may write the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path.with_suffix(".lock"), timeout=60)

    def append(self, record: Record) -> None:
        """Write one record and flush it to the disk.

        A torn last line (a run was killed while writing) is first moved to `<file>.torn`.

        Raises:
            BenchError: the disk is full or the file cannot be written; what was there is untouched.
        """
        try:
            with self.lock():
                self._set_torn_line_aside()
                before = self.path.stat().st_size if self.path.exists() else 0
                try:
                    with self.path.open("ab") as file:
                        file.write(record.line().encode() + b"\n")
                        file.flush()
                        os.fsync(file.fileno())
                except OSError:
                    if self.path.exists():
                        os.truncate(self.path, before)
                    raise
        except OSError as error:
            raise BenchError(
                f"{self.path}: the record of {record.scenario}/{record.label} seed {record.seed} could not be written "
                f"({error.strerror or error}); earlier records are safe: make room and run the same command again"
            ) from error

    def _set_torn_line_aside(self) -> None:
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with self.path.with_suffix(".jsonl.torn").open("ab") as torn:
                torn.write(content[whole:] + b"\n")
                torn.flush()
                os.fsync(torn.fileno())
            os.truncate(self.path, whole)

    def torn(self) -> str | None:
        """A message, if the file ends in a torn line."""
        if not self.path.exists() or self.path.stat().st_size == 0:
            return None
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            whole = file.read(1) == b"\n"
        return (
            None if whole else f"{self.path}: the last line is torn (a run was killed while writing); it is set aside"
        )

    def read(self) -> list[Record]:
        """All whole and sound records in file order."""
        return self.content().records

    def content(self) -> Content:
        """The records, and a message for every damaged line. What follows the last line end is torn, and no fault."""
        if not self.path.exists():
            return Content([], ())
        lines = self.path.read_bytes().decode("utf-8", errors="replace").split("\n")
        records: list[Record] = []
        faults: list[str] = []
        for number, line in enumerate(lines[:-1], 1):
            # A damaged line end joins two lines: each starts with its checksum.
            for part in _parts(line):
                try:
                    records.append(parse(part, f"{self.path}:{number}"))
                except BenchError as error:
                    faults.append(str(error))
        return Content(records, tuple(faults))


def _parts(line: str) -> list[str]:
    if line.count(START) < 2:
        return [line] if line else []
    first, *others = line.split(START)
    joined = [START + other for other in others]
    # What stood in place of the line end is left at the end of each but the last.
    return [*([first] if first else []), *(part[: part.rfind("}") + 1] for part in joined[:-1]), joined[-1]]


def tell(faults: Iterable[str]) -> None:
    """Damaged lines as warnings."""
    for fault in faults:
        warnings.warn(fault, stacklevel=3)
