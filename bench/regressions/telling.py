"""A comparison for the terminal, and as data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from bench.leaderboard import measures
from bench.leaderboard.measures import count
from bench.regressions.compare import Change, Comparison, OneSided
from bench.regressions.snapshot import Place

SHOWN = 20
"""So many lines of one sort are printed, but for what is better or worse."""
LINE_OF_FILE = re.compile(r"^.*?:\d+: ")


def lines(found: Comparison) -> Iterator[str]:
    """The comparison, worst first."""
    yield (
        f"{found.a} -> {found.b}: {count(found.paired, 'cell')} on both sides, {found.equal} equal to the last digit"
    )
    yield from _faults(found.faults)
    judged = [change for change in found.changes if change.verdict != "changed"]
    rest = [change for change in found.changes if change.verdict == "changed"]
    yield from map(_line, judged)
    yield from _first(rest)
    for end in found.endings:
        why = f": {end.reason}" if end.reason else ""
        yield f"{'worse' if end.worse else 'better':<8}{_named(end.place)}: {end.before} -> {end.after}{why}"
    yield from _one_sided(found.one_sided)
    yield from _rows("new", found.new)
    yield from _rows("gone", found.gone)
    for why, places in _by_reason(found.apart).items():
        yield f"{'apart':<8}{count(len(places), 'cell')} not compared, {why}: {_some(map(_named, places))}"
    if found.seconds is not None:
        yield f"{'seconds':<8}{found.seconds:.2f} x, geometric mean over {count(found.timed, 'cell')} of one processor"
    yield verdict(found)


def verdict(found: Comparison) -> str:
    """The last line: what it comes to."""
    worse = sum(change.verdict == "worse" for change in found.changes)
    better = sum(change.verdict == "better" for change in found.changes)
    lost = sum(end.worse for end in found.endings)
    told = f"{count(worse, 'metric')} worse, {better} better, {len(found.changes) - worse - better} changed otherwise"
    return f"{told}, {count(lost, 'cell')} lost {'its' if lost == 1 else 'their'} result"


def as_data(found: Comparison) -> dict[str, Any]:
    """The comparison as plain data, for JSON."""
    told = asdict(found)
    told["changes"] = [
        {**asdict(change), "metric": change.metric.name, "unit": change.metric.unit, "better_by": change.better_by}
        for change in found.changes
    ]
    for name in ("new", "gone"):
        told[name] = [place._asdict() for place in getattr(found, name)]
    told["endings"] = [{**asdict(end), "place": end.place._asdict(), "worse": end.worse} for end in found.endings]
    told["apart"] = [place._asdict() | {"why": why} for place, why in found.apart]
    return told | {"worse": found.worse}


def _line(change: Change) -> str:
    metric, plus = change.metric, change.better_by
    values = f"{measures.number(metric, change.before)} -> {measures.number(metric, change.after)}"
    told = f"{change.verdict:<8}{change.suite}/{change.profile} {change.scenario}/{change.row}: "
    told += f"{measures.heading(metric)} {values}"
    if change.p is not None:
        ends = measures.interval(metric, change.low, change.high, sign=True)
        good = "" if metric.higher_is_better else ", in the good direction"
        told += f" ({measures.number(metric, plus, sign=True)}, 95 % {ends}{good}"
        told += f"; p {measures.p_value(change.p)}, q {measures.p_value(change.q)})"
    told += f", {count(len(change.seeds), 'seed')}"
    if change.reason:
        told += f"; {change.reason}"
    return told + (f"; also other: {_some(change.because)}" if change.because else "")


def _first(changes: list[Change]) -> Iterator[str]:
    yield from map(_line, changes[:SHOWN])
    if len(changes) > SHOWN:
        yield f"{'changed':<8}{len(changes) - SHOWN} more metrics (`--format json` has all)"


def _rows(what: str, places: Iterable[Place]) -> Iterator[str]:
    """One line a row, with its seeds."""
    rows: dict[str, list[int]] = {}
    for place in places:
        row = f"{place.suite}/{place.profile} {place.scenario}/{place.row}"
        rows.setdefault(row, []).append(place.seed)
    for row, seeds in list(rows.items())[:SHOWN]:
        yield f"{what:<8}{row}: {_seeds(seeds)}"
    if len(rows) > SHOWN:
        yield f"{what:<8}{count(len(rows) - SHOWN, 'more row')} (`--format json` has all)"


def _one_sided(found: Iterable[OneSided]) -> Iterator[str]:
    """One line a row and side."""
    rows: dict[tuple[str, str, tuple[int, ...]], list[str]] = {}
    for one in found:
        row = f"{one.suite}/{one.profile} {one.scenario}/{one.row}"
        rows.setdefault((one.side, row, one.seeds), []).append(one.metric)
    for (side, row, seeds), metrics in list(rows.items())[:SHOWN]:
        yield f"{side:<8}{row}: {', '.join(metrics)} at {_seeds(seeds)}"
    if len(rows) > SHOWN:
        rest = count(len(rows) - SHOWN, "more row")
        yield f"{'metrics':<8}{rest} with metrics on one side (`--format json` has all)"


def _faults(faults: Iterable[str]) -> Iterator[str]:
    """One line a kind of fault, with the first line that has it."""
    kinds: dict[str, list[str]] = {}
    for fault in faults:
        kinds.setdefault(LINE_OF_FILE.sub("", fault), []).append(fault)
    for found in kinds.values():
        yield f"warning: {found[0]}" + (f" (and {count(len(found) - 1, 'line')} more)" if found[1:] else "")


def _seeds(seeds: Iterable[int]) -> str:
    told = sorted(seeds)
    return f"seed{'s' * (len(told) > 1)} {', '.join(map(str, told))}"


def _by_reason(apart: Iterable[tuple[Place, str]]) -> Mapping[str, list[Place]]:
    found: dict[str, list[Place]] = {}
    for place, why in apart:
        found.setdefault(why, []).append(place)
    return found


def _some(names: Iterable[str]) -> str:
    told = list(names)
    more = [f"{len(told) - SHOWN} more"] if len(told) > SHOWN else []
    return ", ".join(told[:SHOWN] + more)


def _named(place: Place) -> str:
    return f"{place.suite}/{place.profile} {place.scenario}/{place.row}/{place.seed}"
