"""`compare`: two sets of results, paired a cell: what changed, what of it is significant, what is new, what is gone.

A row's metric is judged as a claim is (`bench.verdicts`): by the paired differences over seeds and, where answers were
kept, over test examples. There is one look, at all seeds that both sides have. Many metrics are judged at once, so what
is called better or worse has a q-value of at most 5 % over the whole comparison.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench import registry
from bench.errors import BenchError
from bench.leaderboard.comparing import Seeds, means, sample_of_difference
from bench.leaderboard.looking import standard_models
from bench.leaderboard.pairing import processor
from bench.metrics.metric import Metric, find, measured, undeclared
from bench.records.record import PARTS, Record, asked_differently, same_numbers
from bench.records.vouches import Vouches
from bench.regressions.snapshot import Place, Snapshot
from bench.verdicts.interval import interval, margin_p, unsettled
from bench.verdicts.multiplicity import q_values

LEVEL = 0.05
"""Of the metrics that are called better or worse, at most this share is expected to be neither."""


@dataclass(frozen=True)
class Change:
    """A metric of a row that is not what it was."""

    suite: str
    profile: str
    scenario: str
    row: str
    metric: Metric
    before: float
    """Mean over `seeds`."""
    after: float
    seeds: tuple[int, ...]
    """At which both sides have the metric."""
    verdict: Literal["worse", "better", "changed"]
    reason: str
    """Why a change is not called worse or better; empty where it is."""
    low: float | None = None
    """Ends of the 95 % interval of the mean difference in the good direction."""
    high: float | None = None
    p: float | None = None
    q: float | None = None
    because: tuple[str, ...] = ()
    """What else differs between the two sides: settings, code, weights, environment."""

    @property
    def better_by(self) -> float:
        """Mean difference in the good direction."""
        return (self.after - self.before) * (1 if self.metric.higher_is_better else -1)


@dataclass(frozen=True)
class OneSided:
    """A metric that a row has on one side only."""

    suite: str
    profile: str
    scenario: str
    row: str
    metric: str
    side: Literal["new", "gone"]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Ending:
    """A cell that ends otherwise than it did."""

    place: Place
    before: str
    after: str
    reason: str

    @property
    def worse(self) -> bool:
        """Whether it had a result, and has none now."""
        return self.before == "ok"


@dataclass(frozen=True)
class Comparison:
    """What became of A in B."""

    a: str
    b: str
    paired: int
    """Cells of both."""
    equal: int
    """Cells with the same metrics and answers, to the last digit."""
    changes: tuple[Change, ...]
    one_sided: tuple[OneSided, ...]
    endings: tuple[Ending, ...]
    new: tuple[Place, ...]
    gone: tuple[Place, ...]
    apart: tuple[tuple[Place, str], ...]
    """Cells of both that are not compared, and why."""
    seconds: float | None
    """Processor seconds of B by those of A, geometric mean over `timed` cells; None where none can be compared."""
    timed: int
    faults: tuple[str, ...]

    @property
    def worse(self) -> bool:
        """Whether a metric is significantly worse, or a cell has lost its result."""
        return any(c.verdict == "worse" for c in self.changes) or any(e.worse for e in self.endings)


def compare(a: Snapshot, b: Snapshot) -> Comparison:
    """Pair the cells of two snapshots, and judge what changed.

    Raises:
        BenchError: they have no cell in common.
    """
    both = [place for place in a.records if place in b.records]
    if not both:
        suites = " and ".join(", ".join(sorted({f"{p.suite}/{p.profile}" for p in s.records})) for s in (a, b))
        raise BenchError(
            f"{a.name} and {b.name} have no cell in common (they hold {suites}): give results of one suite and profile"
        )
    pairs = {place: (a.records[place], b.records[place]) for place in both}
    apart = {place: why for place, (one, other) in pairs.items() if (why := _apart(one, other))}
    pairs = {place: pair for place, pair in pairs.items() if place not in apart}
    endings = [
        Ending(place, one.status, other.status, other.reason or "")
        for place, (one, other) in pairs.items()
        if one.status != other.status
    ]
    scored = {place: pair for place, pair in pairs.items() if all(record.status == "ok" for record in pair)}
    ratios = [ratio for pair in scored.values() if (ratio := _seconds(*pair)) is not None]
    return Comparison(
        a=a.name,
        b=b.name,
        paired=len(both),
        equal=sum(one.status == other.status and same_numbers(one, other) for one, other in pairs.values()),
        changes=_judged(list(_changes(scored))),
        one_sided=tuple(_one_sided(scored)),
        endings=tuple(endings),
        new=tuple(place for place in b.records if place not in a.records),
        gone=tuple(place for place in a.records if place not in b.records),
        apart=tuple(apart.items()),
        seconds=math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None,
        timed=len(ratios),
        faults=(*a.faults, *b.faults),
    )


def _apart(one: Record, other: Record) -> str:
    """Why the numbers of two records of one place cannot be compared; empty where they can."""
    if one.data != other.data:
        names = [f"{r.data.get('variant') or r.data.get('name')} ({r.data.get('fingerprint')})" for r in (one, other)]
        return f"other data: {' and '.join(names)}"
    if (one.by_the_clock or other.by_the_clock) and processor(one) != processor(other):
        return "a budget in seconds, on another processor"
    return ""


def _seconds(one: Record, other: Record) -> float | None:
    """Seconds of the second by those of the first; None where they were taken on two processors."""
    before, after = one.costs.get("seconds"), other.costs.get("seconds")
    if not before or not after or processor(one) != processor(other):
        return None
    return float(after / before)


def _changes(pairs: Mapping[Place, tuple[Record, Record]]) -> Iterable[Change]:
    """Every metric that moved, not yet called anything."""
    for where, seeds in _by_row(pairs).items():
        moved = {seed: pair for seed, pair in seeds.items() if not same_numbers(*pair)}
        if not moved:
            continue
        because = _because(moved.values())
        for metric, declared in _metrics(seeds.values()):
            having = {s: pair for s, pair in sorted(seeds.items()) if all(metric.name in r.metrics for r in pair)}
            before, after = ({s: pair[side] for s, pair in having.items()} for side in (0, 1))
            if any(before[s].metrics[metric.name] != after[s].metrics[metric.name] for s in having):
                yield replace(_change(where, metric, declared, before, after), because=because)


def _one_sided(pairs: Mapping[Place, tuple[Record, Record]]) -> Iterable[OneSided]:
    sides: tuple[tuple[Literal["new", "gone"], int], ...] = (("new", 1), ("gone", 0))
    for where, seeds in _by_row(pairs).items():
        for side, has in sides:
            found: dict[str, list[int]] = {}
            for seed, pair in sorted(seeds.items()):
                for name in sorted(pair[has].metrics.keys() - pair[1 - has].metrics.keys()):
                    found.setdefault(name, []).append(seed)
            yield from (OneSided(*where, name, side, tuple(having)) for name, having in found.items())


def _by_row(
    pairs: Mapping[Place, tuple[Record, Record]],
) -> dict[tuple[str, str, str, str], dict[int, tuple[Record, Record]]]:
    """(suite, profile, scenario, row) -> seed -> pair."""
    rows: dict[tuple[str, str, str, str], dict[int, tuple[Record, Record]]] = {}
    for place, pair in pairs.items():
        rows.setdefault(place[:4], {})[place.seed] = pair
    return rows


def _metrics(pairs: Iterable[tuple[Record, Record]]) -> list[tuple[Metric, bool]]:
    """The metrics of a row in the order of declaration, and whether each has a good direction of its own.

    Floors have none, nor has what no installed kind declares.
    """
    read = [record for pair in pairs for record in pair]
    names = {name for record in read for name in record.metrics}
    kind = registry.SCENARIOS.entries.get(read[0].kind)
    declared = measured(names, kind.metrics) if kind else []
    rest = sorted(names - {metric.name for metric in declared})
    others = [(kind and find(name, kind.metrics)) or undeclared(name) for name in rest]
    return [*((metric, True) for metric in declared), *((metric, False) for metric in others)]


def _change(where: tuple[str, str, str, str], metric: Metric, declared: bool, before: Seeds, after: Seeds) -> Change:
    seeds = tuple(before)
    told = (means(before)[metric.name], means(after)[metric.name], seeds)
    if not declared:
        return Change(*where, metric, *told, "changed", "it has no good direction of its own")
    found = sample_of_difference(after, before, _groups(before), metric)
    if nothing := unsettled(found):
        return Change(*where, metric, *told, "changed", nothing)
    ends = interval(found, LEVEL)
    return Change(*where, metric, *told, "changed", "", ends.low, ends.high, margin_p(found, 0.0))


def _groups(row: Seeds) -> Sequence[Sequence[int]]:
    """Seeds by distinct standard model."""
    groups: dict[object, list[int]] = {}
    for seed, record in row.items():
        groups.setdefault(standard_models(record), []).append(seed)
    return list(groups.values())


def _judged(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Call better or worse what is so at a q-value of 5 %; worst first, then best, then the rest."""
    found = q_values({str(number): change.p for number, change in enumerate(changes)})
    judged = []
    for number, change in enumerate(changes):
        q = found[str(number)]
        if q is None:
            judged.append(change)
        elif q <= LEVEL:
            verdict: Literal["better", "worse"] = "better" if change.better_by > 0 else "worse"
            judged.append(replace(change, verdict=verdict, q=q))
        else:
            judged.append(replace(change, reason="within what seeds and examples explain", q=q))
    order = ("worse", "better", "changed")
    return tuple(sorted(judged, key=lambda change: (order.index(change.verdict), change.q or 0.0)))


def _because(pairs: Iterable[tuple[Record, Record]]) -> tuple[str, ...]:
    """What else differs between two sides of a row, each said once."""
    found: dict[str, None] = {}
    for one, other in pairs:
        found |= dict.fromkeys(asked_differently(one.asked, other.asked))
        code = [part for part in PARTS if one.digests.get(part) != other.digests.get(part)]
        found |= dict.fromkeys(f"code of {part}" for part in code)
        here, there = (Vouches.shipped().weights(record) for record in (one, other))
        roles = [role for role in sorted(here) if there.get(role, here[role]) != here[role]]
        found |= dict.fromkeys(f"weights of {role}" for role in roles)
        if processor(one) != processor(other):
            found |= {"processor": None}
        versions = one.provenance.get("versions", {}), other.provenance.get("versions", {})
        found |= dict.fromkeys(asked_differently(*versions))
    return tuple(found)
