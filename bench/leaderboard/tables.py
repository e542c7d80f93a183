"""From the records that count to one table a scenario."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from bench import registry
from bench.leaderboard import comparing, floors, pairing, tuned, wording
from bench.leaderboard.board import Code, Origin, Role, Row, Section, Status
from bench.leaderboard.comparing import Seeds
from bench.leaderboard.costing import costs_of
from bench.leaderboard.looking import seeds_reached
from bench.leaderboard.selection import EARLIER, NOT_RUN, Selection
from bench.metrics.metric import Metric
from bench.records.record import Record
from bench.registry import Scenario
from bench.suite.rows import SuiteRow
from bench.suite.scenarios import SuiteScenario, given_board
from bench.suite.suite import Suite
from bench.verdicts.looks import Schedule

PATIENCE = 3.0
"""A row at a budget of updates may take so many times the median of the board's processor seconds."""


def sections(suite: Suite, selection: Selection, schedule: Schedule) -> tuple[Section, ...]:
    """One table a scenario, in the suite's order."""
    return tuple(
        section(suite, scenario, selection, schedule, given_board(scenario, suite.scenarios))
        for scenario in suite.scenarios.values()
    )


def section(
    suite: Suite,
    scenario: SuiteScenario,
    selection: Selection,
    schedule: Schedule,
    given: SuiteScenario | None = None,
) -> Section:
    """Rows by the headline, best first; rows without a result last, in the suite's order, with the reason.

    Rows are ranked on the seeds of the last look that they have in common; each row's own numbers are of all its seeds.
    Rows of a tuned board are held against those of the board `given`, where they stand without a search.
    """
    kind = registry.SCENARIOS.get(scenario.kind)
    source = _Source(suite, scenario, selection, kind, schedule)
    rows = [source.row(row) for row in scenario.rows]
    apart: list[str] = []
    if given is not None:
        before = replace(source, scenario=given)
        rows = [source.beside_default(*pair, before) for pair in zip(rows, scenario.rows, strict=True)]
        apart = source.apart(before)
    scored = [row for row in rows if row.headline is not None]
    scored.sort(key=lambda row: (-source.sign * source.mean(row.label), row.label))
    ranked, notes = source.with_ranks(scored)
    pairs = zip([None, *ranked], ranked, strict=False)
    compared = [row if above is None else replace(row, above=source.against(row, above)) for above, row in pairs]
    notes += [row.above.unpaired for row in compared if row.above is not None and row.above.unpaired]
    notes += apart
    return Section(
        name=scenario.name,
        kind=scenario.kind,
        title=scenario.title,
        summary=kind.summary,
        headline=kind.headline,
        metrics=tuple(replace(metric, derived=None) for metric in kind.metrics),  # boards are plain data
        costs=tuple(replace(cost, derived=None) for cost in kind.costs),
        lower=scenario.lower,
        upper=scenario.upper,
        rows=(*compared, *(row for row in rows if row.headline is None)),
        notes=tuple(notes),
        ranked_on=source.ranked_on,
        trials=scenario.trials,
    )


@dataclass(frozen=True)
class _Source:
    """One scenario and its records."""

    suite: Suite
    scenario: SuiteScenario
    selection: Selection
    kind: Scenario
    schedule: Schedule

    @cached_property
    def headline(self) -> Metric:
        return self.kind.metric(self.kind.headline)

    @cached_property
    def references(self) -> frozenset[str]:
        return frozenset(entry if isinstance(entry, str) else entry[0] for entry in self.kind.references)

    @property
    def sign(self) -> int:
        return 1 if self.headline.higher_is_better else -1

    def records(self, label: str) -> dict[int, Record]:
        return self.selection.cells.get((self.scenario.name, label), {})

    def ok(self, label: str) -> dict[int, Record]:
        name = self.kind.headline
        return {seed: r for seed, r in self.records(label).items() if r.status == "ok" and name in r.metrics}

    def row(self, row: SuiteRow) -> Row:
        """Everything of a row that does not depend on the other rows."""
        ok = self.ok(row.label)
        status, reasons = self.state(row.label)
        method = registry.METHODS.entries.get(row.method)
        return Row(
            label=row.label,
            method=row.method,
            paper=method.paper if method else None,
            year=method.year if method else None,
            summary=method.summary if method else "",
            params=dict(row.params),
            role=self.role(row),
            status=status,
            reasons=reasons,
            seeds=tuple(ok),
            headline=comparing.estimate(ok, self.headline),
            metrics=comparing.means(ok),
            gap_closed=self.gap_closed(row.label),
            rank=None,
            rank_low=None,
            rank_high=None,
            first=None,
            above=None,
            costs=costs_of(list(ok.values()), self.kind.costs),
            curves=comparing.mean_curves(ok),
            pictures=comparing.pictures(ok),
            search={name: tuned.place(place) for name, place in row.search.items()},
            chosen={seed: {name: r.params[name] for name in row.search} for seed, r in ok.items() if row.search},
            marks=(
                *floors.marks(ok, self.headline, self.kind.metrics),
                *self.marks(row.label),
                *self.below(row.label),
                *([] if self.is_reference(row) else self.noticed(row.label)),
            ),
            family=method.family if method else "",
            access=tuple(sorted(method.access)) if method else (),
            origins=self.origins(row.label),
        )

    def origins(self, label: str) -> tuple[Origin, ...]:
        """Where the numbers of each seed come from."""
        return tuple(
            Origin(
                seed=seed,
                status=record.status,
                key=record.key,
                commit=str(record.provenance.get("commit") or ""),
                day=str(record.provenance.get("started") or "")[:10],
                code=self.code(label, seed),
            )
            for seed, record in self.records(label).items()
        )

    def code(self, label: str, seed: int) -> Code:
        """What became of the code that a record stands on."""
        place = (self.scenario.name, label)
        if seed in self.selection.unvouched.get(place, ()):
            return "unvouched"
        return "vouched for" if seed in self.selection.vouched.get(place, ()) else "as it was"

    def marks(self, label: str) -> tuple[str, ...]:
        """That its records were computed in another environment or, where seconds are the budget, on another processor
        than most of the board, or by code that moved.
        """
        other = any(r.environment != self.environments[seed] for seed, r in self.records(label).items())
        moved = (self.scenario.name, label) in self.selection.unvouched
        mixed = self.of_other_processor(label)
        return (pairing.OTHER_ENVIRONMENT,) * other + (pairing.OTHER_PROCESSOR,) * mixed + (pairing.UNVOUCHED,) * moved

    def of_other_processor(self, label: str) -> bool:
        """Whether seconds are the budget, and the row had those of another processor than most of the board."""
        if getattr(self.scenario.settings, "seconds", None) is None:
            return False
        return any(pairing.processor(r) != self.processors[seed] for seed, r in self.records(label).items())

    def below(self, label: str) -> list[str]:
        """At how many seeds a row lies below its lower reference, where it is neither all of them nor none."""
        if label in (self.scenario.lower, self.scenario.upper):
            return []
        worse, of = comparing.below(self.ok(label), self.ok(self.scenario.lower), self.headline)
        return [f"below the lower reference at {worse} of {of} seeds"] if 0 < worse < of else []

    @cached_property
    def environments(self) -> dict[int, str]:
        """Seed -> the numeric environment of most of the scenario's records of that seed: rows are paired by seed."""
        return self.most_common(lambda record: record.environment)

    @cached_property
    def processors(self) -> dict[int, str]:
        """Seed -> the processor of most of the scenario's records of that seed."""
        return self.most_common(pairing.processor)

    def most_common(self, of: Callable[[Record], str]) -> dict[int, str]:
        rows = [self.records(row.label) for row in self.scenario.rows]
        seeds = {seed for row in rows for seed in row}
        return {seed: pairing.most_common(of(row[seed]) for row in rows if seed in row) for seed in seeds}

    def beside_default(self, row: Row, own: SuiteRow, before: _Source) -> Row:
        """A row with what it shows without its search in the scenario `before`, if it stands there."""
        found = before.ok(row.label) if tuned.same_but_for_search(own, before.scenario.rows) else {}
        gained = comparing.difference(self.ok(row.label), found, self.headline)
        if gained is None:
            return row
        return replace(row, default=comparing.estimate(found, self.headline), gained=gained)

    def apart(self, before: _Source) -> list[str]:
        """Which rows with a search are no pair with themselves without it, on which seeds and why."""
        found: dict[str, list[str]] = {}
        for row in self.scenario.rows:
            stands_there = tuned.same_but_for_search(row, before.scenario.rows)
            seeds = pairing.unpaired(self.ok(row.label), before.ok(row.label)) if stands_there else {}
            if seeds:
                found.setdefault(pairing.why(seeds), []).append(row.label)
        where = before.scenario.name
        return [f"Not paired with the same row in {where} {why}: {', '.join(labels)}" for why, labels in found.items()]

    def role(self, row: SuiteRow) -> Role | None:
        """References are those of the kind, and rows whose method is one (`family = "reference"`)."""
        if row.label == self.scenario.lower:
            return "lower"
        if row.label == self.scenario.upper:
            return "upper"
        if self.is_reference(row):
            return "reference"
        if row.control:
            return "control"
        return "unranked" if self.noticed(row.label) or self.of_other_processor(row.label) else None

    def noticed(self, label: str) -> list[str]:
        """What keeps a row from being ranked, in words."""
        ok = self.ok(label)
        found = {what for record in ok.values() for what in record.noticed}
        choosy = ok and any(record.status == "skipped" for record in self.records(label).values())
        marks = [wording.NOTICED[what] for what in wording.NOTICED if what in found]
        return marks + [wording.CHOOSY] * bool(choosy) + self.overdue(label)

    def overdue(self, label: str) -> list[str]:
        """Whether a row took far more processor seconds than others at the same number of updates."""
        seconds = self.mean_seconds
        if label not in seconds or not _counts_updates(self.scenario.settings):
            return []
        limit = PATIENCE * statistics.median(seconds.values())
        return [wording.OVERDUE] if seconds[label] > limit else []

    @cached_property
    def mean_seconds(self) -> dict[str, float]:
        """Label -> processor seconds of its method, of all rows but references."""
        rows = {row.label: self.ok(row.label) for row in self.scenario.rows if not self.is_reference(row)}
        found = {label: [r.costs["seconds"] for r in ok.values() if "seconds" in r.costs] for label, ok in rows.items()}
        return {label: sum(values) / len(values) for label, values in found.items() if values}

    def is_reference(self, row: SuiteRow) -> bool:
        method = registry.METHODS.entries.get(row.method)
        named = (self.scenario.lower, self.scenario.upper, *self.references)
        return row.label in named or (method is not None and method.family == "reference")

    def state(self, label: str) -> tuple[Status, tuple[str, ...]]:
        """Status of a row over its seeds, and the reasons of what is not ok, each with its seeds."""
        records = self.records(label)
        if not records:
            return "missing", (EARLIER if (self.scenario.name, label) in self.selection.earlier else NOT_RUN,)
        ok = self.ok(label)
        reasons: dict[str, list[int]] = {}
        for seed, r in records.items():
            if seed not in ok:
                what = f"{r.status}: {r.reason}" if r.status != "ok" else f"failed: it has no {self.kind.headline}"
                reasons.setdefault(what, []).append(seed)
        told = tuple(f"{what} (seed{'s' * (len(s) > 1)} {', '.join(map(str, s))})" for what, s in reasons.items())
        if ok:
            return ("partial" if reasons else "ok"), told
        return ("skipped" if all(r.status == "skipped" for r in records.values()) else "failed"), told

    def gap_closed(self, label: str) -> float | None:
        lower, upper = self.ok(self.scenario.lower), self.ok(self.scenario.upper)
        return comparing.gap_closed(self.ok(label), lower, upper, self.headline)

    def against(self, row: Row, above: Row) -> Any:
        return comparing.difference(self.ranked(row.label), self.ranked(above.label), self.headline)

    @cached_property
    def ranked_on(self) -> tuple[int, ...]:
        """The seeds on which rows are ranked (see `Section`)."""
        rows = [ok for label in self.may_rank if (ok := self.ok(label))]
        come = [seeds_reached(self.suite, self.schedule, ok) for ok in rows]
        looked = [one for one in come if one.look is not None]
        if not looked:
            return tuple(_usual_seeds(rows))
        common = min(looked, key=lambda one: one.look.n if one.look else 0)
        return tuple(seed for group in common.groups for seed in group)

    @cached_property
    def may_rank(self) -> tuple[str, ...]:
        """Labels of the rows that are ranked where they have results."""
        return tuple(row.label for row in self.scenario.rows if self.role(row) is None)

    def ranked(self, label: str) -> dict[int, Record]:
        """A row at the seeds that rows are ranked on; at all of its seeds where it has none of those."""
        ok = self.ok(label)
        return {seed: ok[seed] for seed in self.ranked_on if seed in ok} or ok

    def mean(self, label: str) -> float:
        """The mean headline of a row that has any, by which rows are sorted."""
        values = [record.metrics[self.kind.headline] for record in self.ranked(label).values()]
        return sum(values) / len(values)

    def with_ranks(self, scored: Sequence[Row]) -> tuple[list[Row], list[str]]:
        """Ranks by the mean of rows that have all seeds of the common look, but for references; how sure they are."""
        usual = self.ranked_on
        competing = [row.label for row in scored if row.role is None]
        there = [label for label in competing if all(s in self.ok(label) for s in usual)]
        places = {label: i for i, label in enumerate(there, 1)}
        complete = [label for label in there if self.pairs(label, usual)]
        shares = None
        if len(complete) > 1 and usual:
            shares = comparing.rank_shares([self.ok(label) for label in complete], usual, self.headline)
        out = []
        for row in scored:
            if row.label in places:
                row = replace(row, rank=places[row.label])
            if shares is not None and row.label in complete:
                i = complete.index(row.label)
                low, high = int(shares.low[i]), int(shares.high[i])
                row = replace(row, rank_low=low, rank_high=high, first=float(shares.first[i]))
            out.append(row)
        out = floors.with_ties(out)
        return out, self.missing_ranks(competing, places, complete)

    def missing_ranks(self, competing: Sequence[str], ranked: Collection[str], complete: Collection[str]) -> list[str]:
        """On which seeds rows are ranked, where some have more, and which rows are not."""
        seeds = _listed(self.ranked_on)
        more = any(set(self.ok(label)) - set(self.ranked_on) for label in ranked)
        unranked = [label for label in competing if label not in ranked]
        elsewhere = [label for label in ranked if label not in complete]
        told = [f"Ranks use seeds {seeds}, which all ranked rows have. Other numbers use all seeds of a row"] * more
        told += [f"Not ranked, because some of the seeds {seeds} are missing: {', '.join(unranked)}"] * bool(unranked)
        told += [f"Not in the resampled ranks, because computed in another environment: {', '.join(elsewhere)}"] * bool(
            elsewhere
        )
        return told

    def pairs(self, label: str, seeds: Sequence[int]) -> bool:
        """Whether a row was computed where most of the board was."""
        return all(self.ok(label)[seed].environment == self.environments[seed] for seed in seeds)


def _usual_seeds(rows: Sequence[Seeds]) -> list[int]:
    """The seeds that more than half of the rows have."""
    count = Counter(seed for row in rows for seed in row)
    return sorted(seed for seed, n in count.items() if 2 * n > len(rows))


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _counts_updates(settings: Any) -> bool:
    """Whether a scenario's budget is a number of updates."""
    return getattr(settings, "steps", None) is not None and getattr(settings, "seconds", None) is None
