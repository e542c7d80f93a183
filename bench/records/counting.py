"""Which record counts: decided here, by key and place in the file, for boards, runs, frames and exports alike.

Of the records of one question (one key) the last in its file counts. Of the questions that were asked of one row and
seed in the course of time the one counts that the suite asks now or, where the suite is not known, that was asked last.
No date decides anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from bench.environment import PINNED
from bench.records.record import Record


def latest(records: Iterable[Record]) -> dict[str, Record]:
    """Key -> the last of its records in the file."""
    found: dict[str, Record] = {}
    for record in records:
        found.pop(record.key, None)  # in the order of the records that count
        found[record.key] = record
    return found


def counting(records: Iterable[Record], asked: Collection[str] = ()) -> list[Record]:
    """The records of a file that count, in file order.

    Args:
        records: in file order.
        asked: keys of which the suite is known to ask; they are not replaced by a later record of another key.
    """
    found = latest(records)
    last: dict[tuple[str, str, int, str], str] = {}
    for key, record in found.items():
        place = (record.scenario, record.label, record.seed, record.environment)
        if key in asked or last.get(place, "") not in asked:
            last[place] = key
    kept = set(last.values())
    return [record for key, record in found.items() if key in kept or key in asked]


def precedence(record: Record, number: int) -> tuple[bool, int]:
    """Of several records that count for one cell the board shows the greatest: pinned before others, then the last."""
    return record.environment == PINNED, number


def one_a_cell(records: Iterable[Record]) -> list[Record]:
    """One record a cell, in file order: what a board shows of a file where no suite is known.

    Of a scenario's records those on the data set of its last one are left, and of a cell that was computed in several
    environments the one that takes precedence.
    """
    read = list(records)
    data = {record.scenario: record.data for record in latest(read).values()}
    kept = counting(record for record in read if record.data == data[record.scenario])
    best: dict[tuple[str, str, int], tuple[bool, int]] = {}
    for number, record in enumerate(kept):
        place = (record.scenario, record.label, record.seed)
        best[place] = max(best.get(place, (False, -1)), precedence(record, number))
    return [kept[number] for number in sorted(number for _, number in best.values())]


def asked_again(records: Iterable[Record], reused: Iterable[Record]) -> list[Record]:
    """Records that a run takes from the file, and that lie before a record of another question asked of their place.

    A suite was changed and changed back. Written once more they are what was asked last.
    """
    shown = {record.key for record in counting(records)}
    return [record for record in reused if record.key not in shown]
