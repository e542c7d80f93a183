"""Who vouches that other code gives the same numbers: `vouched.jsonl`, which ships with the package.

A line says that records which stand on the digests `old` may stand for the digests `new`: of every cell that was tried,
`new` gave the same metrics and the same answers to the last digit. Records are never rewritten; a chain of lines leads
from their digests to today's. What was seen in one kind of environment is said of that kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import BenchError
from bench.records.record import PARTS, Record

FILE = Path(__file__).parent / "vouched.jsonl"


class Vouch(BaseModel):
    """One line of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    old: dict[str, str]
    """Part of the code -> digest that records stand on."""
    new: dict[str, str]
    """Part -> digest of the code that gave the same."""
    environment: str
    """The kind of numeric environment."""
    cells: tuple[str, ...]
    """What was run again: `suite: scenario/label/seed`."""
    weights: dict[str, str] = {}
    """Name of a standard model (`bench.models.keys.asked`) -> sha256 of its weights: records of version 0.1 lack it."""
    commit: str
    """Of the code that vouches."""
    machine: str
    canary: str
    day: str


class Vouches:
    """The lines of a file, to be followed."""

    def __init__(self, lines: Iterable[Vouch]) -> None:
        self.lines = tuple(lines)
        self._next: dict[tuple[str, ...], list[Vouch]] = {}
        for line in self.lines:
            self._next.setdefault((line.environment, *_in_order(line.old)), []).append(line)

        self._weights = {(line.environment, model): sha for line in self.lines for model, sha in line.weights.items()}

    @staticmethod
    def shipped() -> Vouches:
        """Those of the file in the package."""
        stamp = FILE.stat().st_mtime_ns if FILE.is_file() else 0
        return _read(FILE, stamp)

    def stand(self, record: Record, today: Mapping[str, str]) -> bool:
        """Whether a record stands on today's digests, or on some that lead to them."""
        return self.chain(record, today) is not None

    def chain(self, record: Record, today: Mapping[str, str]) -> tuple[Vouch, ...] | None:
        """The lines that lead from a record's digests to today's: () where they are the same, None where none do."""
        goal, start = _in_order(today), _in_order(record.digests)
        seen: dict[tuple[str, ...], tuple[Vouch, ...]] = {start: ()}
        queue = [start]
        while queue:
            here = queue.pop(0)
            if here == goal:
                return seen[here]
            for line in self._next.get((record.environment, *here), []):
                there = _in_order(line.new)
                if there not in seen:
                    seen[there] = (*seen[here], line)
                    queue.append(there)
        return None

    def weights(self, record: Record) -> dict[str, str]:
        """Role -> sha256 of the weights that a record stands on: its own word, or what was seen since."""
        if record.weights:
            return record.weights
        models = record.asked.get("zoo", {}).items()
        known = {role: self._weights.get((record.environment, model)) for role, model in models}
        return {role: sha256 for role, sha256 in known.items() if sha256 is not None}


def _in_order(digests: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(digests.get(part, "") for part in PARTS)


@cache
def _read(path: Path, _changed: int) -> Vouches:
    if not path.is_file():
        return Vouches(())
    lines = []
    *whole, _torn = path.read_text(encoding="utf-8").split("\n")  # a vouch that was killed leaves half a line
    for number, text in enumerate(whole, 1):
        try:
            lines.append(Vouch.model_validate_json(text))
        except ValidationError as error:
            raise BenchError(f"{path}:{number}: not a vouch: {error.errors()[0]['msg']}") from error
    return Vouches(lines)
