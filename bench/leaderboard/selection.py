"""The records that count for a suite's board. What does not is set aside, counted, and said.

Which record counts is decided by key and place in the file (`bench.records.counting`). Here the suite's rows are looked
up by their keys: the row's present label is shown, whatever it was called when it was computed. All records of a
scenario's data set stand on one content of it, that of the last record in the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bench.digests.walk import Digest
from bench.records.counting import counting, precedence
from bench.records.record import Record
from bench.records.vouches import Vouches
from bench.running.cell_code import values
from bench.suite.suite import Suite

EARLIER = "not run with the present settings and standard models, only with earlier ones; run the suite again"
NOT_RUN = "not run"
Place = tuple[str, str, int]
"""(scenario, label, seed)."""


class Asked(Protocol):
    """A cell that a suite asks for (`bench.running.plan.Cell`)."""

    @property
    def key(self) -> str:
        """Of what is asked."""

    @property
    def digests(self) -> Mapping[str, Digest]:
        """Today's code."""


@dataclass(frozen=True)
class Selection:
    """The records that count, and what was set aside."""

    cells: dict[tuple[str, str], dict[int, Record]]
    """(scenario, label) -> seed -> record, in order of seeds."""
    data: dict[str | None, dict[str, Any]]
    """Name in the suite's `[datasets]`, or None for `[data]` -> identity of what the records that count stand on."""
    set_aside: tuple[str, ...]
    earlier: dict[tuple[str, str], int]
    """(scenario, label) -> how many of its records answer what the suite asked earlier."""
    unvouched: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    """(scenario, label) -> seeds whose records stand on code that moved, and that nobody vouches for."""
    vouched: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    """(scenario, label) -> seeds whose records stand on code that moved, and that are vouched for."""

    @property
    def records(self) -> list[Record]:
        """All that count."""
        return [record for seeds in self.cells.values() for record in seeds.values()]


def select(suite: Suite, records: Iterable[Record], asked: Mapping[Place, Sequence[Asked]]) -> Selection:
    """Choose the records that count for a suite's board.

    Args:
        suite: its scenarios and data sets.
        records: in file order.
        asked: the cells that it asks for at each place (`bench.running.plan.asked_of`).
    """
    read = list(records)
    keys = {cell.key for cells in asked.values() for cell in cells}
    kept = counting(read, keys)
    answers = {record.key: (number, record) for number, record in enumerate(kept) if record.key in keys}
    data = {suite.scenarios[r.scenario].data: r.data for _, r in answers.values()}  # the last is the one that counts
    chosen: dict[tuple[str, str], dict[int, Record]] = {}
    unvouched: dict[tuple[str, str], list[int]] = {}
    vouched: dict[tuple[str, str], list[int]] = {}
    vouches = Vouches.shipped()
    for (scenario, label, seed), cells in sorted(asked.items()):
        found = [(answers[c.key], c) for c in cells if c.key in answers]
        found = [pair for pair in found if pair[0][1].data == data[suite.scenarios[scenario].data]]
        if not found:
            continue
        (_, record), cell = max(found, key=lambda pair: precedence(pair[0][1], pair[0][0]))
        chosen.setdefault((scenario, label), {})[seed] = record.model_copy(update={"label": label})
        chain = vouches.chain(record, values(cell.digests))
        if chain is None:
            unvouched.setdefault((scenario, label), []).append(seed)
        elif chain:
            vouched.setdefault((scenario, label), []).append(seed)
    used = {record.key for seeds in chosen.values() for record in seeds.values()}
    rows = _rows(suite)
    earlier = Counter(place for r in kept if r.key not in keys and (place := (r.scenario, r.label)) in rows)
    return Selection(
        chosen,
        data,
        tuple(_set_aside(suite, kept, keys, used)),
        dict(earlier),
        {place: tuple(seeds) for place, seeds in unvouched.items()},
        {place: tuple(seeds) for place, seeds in vouched.items()},
    )


def _rows(suite: Suite) -> set[tuple[str, str]]:
    return {(s.name, row.label) for s in suite.scenarios.values() for row in s.rows}


def _set_aside(suite: Suite, kept: Sequence[Record], keys: set[str], used: set[str]) -> Iterable[str]:
    """What does not count, by reason. Records that others replaced are history: a board is the same without them."""
    rows = _rows(suite)
    strange = [r for r in kept if r.key not in keys]
    named = [r for r in strange if (r.scenario, r.label) in rows]
    elsewhere = [r for r in named if not _is_of_its_data(suite, r)]
    yield from _note(len(strange) - len(named), "of rows that the suite does not name (any more)")
    yield from _note(len(named) - len(elsewhere), "of earlier settings or standard models; run the suite again")
    for what, count in sorted(Counter(map(_data, elsewhere)).items()):
        yield from _note(count, f"computed on {what}, which the suite does not name")
    left = Counter(f"{_data(r)}, {r.environment}" for r in kept if r.key in keys and r.key not in used)
    for what, count in sorted(left.items()):
        yield from _note(count, f"computed on {what}, beside those that count")


def _is_of_its_data(suite: Suite, record: Record) -> bool:
    spec = suite.data_of(suite.scenarios[record.scenario])
    return record.data.get("name") in (spec.name, spec.offline)


def _data(record: Record) -> str:
    return f"{record.data.get('variant')} ({record.data.get('fingerprint')})"


def _note(count: int, what: str) -> list[str]:
    return [f"{count} record{'s' if count > 1 else ''} {what}"] if count else []
