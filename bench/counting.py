"""Which record counts: decided here, by key and place in the file, for boards, runs, frames and exports alike.

Of the records of one question (one key) the last in its file counts. Of the questions that were asked of one row and
seed in the course of time the one counts that the suite asks now or, where the suite is not known, that was asked last.
No date decides anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from bench.records import Record


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
