"""What papers claim, and what the records say to it at the last complete look (docs/statistics.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench import registry
from bench.leaderboard import comparing, measures, pairing, questions, wording
from bench.leaderboard.board import Earlier, Estimate, Verdict
from bench.leaderboard.comparing import Seeds
from bench.leaderboard.looking import seeds_reached, with_value
from bench.leaderboard.selection import EARLIER, NOT_RUN, Selection
from bench.metrics.metric import Metric
from bench.records.record import Record
from bench.suite.claims import Claim
from bench.suite.suite import Suite
from bench.verdicts import verdict
from bench.verdicts.interval import Sample
from bench.verdicts.looks import Reached, Schedule
from bench.verdicts.multiplicity import q_values
from bench.verdicts.verdict import Judged, Question


@dataclass(frozen=True)
class Case:
    """A claim, how far its seeds have come, and what they answer."""

    claim: Claim
    metric: Metric
    question: Question
    reached: Reached
    premise_reached: Reached | None
    """How far the row has come that shows what the claim requires; None where it requires nothing."""
    found: Sample | None
    """The differences at the last complete look; None before the first."""
    judged: Judged
    pair: tuple[Record, Record] | None
    """Both rows at the first seed of the look."""
    notes: tuple[str, ...]
    """What else has to be known of the answer."""
    own_setting: bool
    """Whether the board is near the own setting of the claim's paper."""
    seeds_needed: int | None
    hours: float | None


def cases(suite: Suite, selection: Selection, schedule: Schedule) -> tuple[Case, ...]:
    """One for each claim, in the suite's order."""
    return tuple(case(suite, claim, selection, schedule) for claim in suite.claims)


def case(suite: Suite, claim: Claim, selection: Selection, schedule: Schedule) -> Case:
    """Judge one claim: `better` against `times` the `worse` at the last complete look, on the first seeds of it."""
    scenario = suite.scenarios[claim.scenario]
    kind = registry.SCENARIOS.get(scenario.kind)
    metric = kind.metric(claim.metric or kind.headline)
    records = [selection.cells.get((claim.scenario, label), {}) for label in (claim.better, claim.worse)]
    better, worse = (with_value(row, metric) for row in records)
    apart = pairing.unpaired(better, worse, seconds=pairing.is_seconds(metric))
    paired = {seed: record for seed, record in better.items() if seed in worse and seed not in apart}
    ran = [{seed for seed in row if seed not in good} for row, good in zip(records, (better, worse), strict=True)]
    come = seeds_reached(suite, schedule, paired, failed={*ran[0], *ran[1]})
    found = None
    if come.look is not None:
        found = comparing.sample_of_difference(better, worse, come.groups, metric, claim.times)
    needed, premise_come = questions.premise(suite, claim, selection, schedule)
    asked = questions.question(suite, claim, metric, needed, better, worse, come)
    judged = verdict.judge(asked, schedule, come.look, found)
    notes = [*_failures(claim, metric, records, come.failed), *_repeated(come)]
    notes += [pairing.told(claim.better, claim.worse, apart)] if apart else []
    if come.look is None and not notes:
        notes += _absent(claim, selection, come)
    if come.look is not None and come.look.added:
        notes.append(f"the look at {come.look.n} seeds was added after the first look")
    lower = with_value(selection.cells.get((claim.scenario, scenario.lower), {}), metric)
    for label, row in ((claim.better, better), (claim.worse, worse)):
        below, of = comparing.below({s: row[s] for g in come.groups for s in g}, lower, metric)
        if 0 < below < of and metric.name == kind.headline:
            notes.append(f"{label} is below its lower reference at {below} of {of} seeds")
    if judged.answer == "equal" and questions.post_hoc(suite, claim, metric):
        within = f"{measures.number(metric, asked.equal_within)} {metric.unit}"
        notes.append(f"differences within {within} are equal; this was chosen after results had been seen")
    first = come.groups[0][0] if come.groups else None
    pair = None if first is None else (better[first], worse[first])
    return Case(
        claim,
        metric,
        asked,
        come,
        premise_come,
        found,
        judged,
        pair,
        tuple(notes),
        own_setting=claim.paper in scenario.setting_of,
        seeds_needed=questions.seeds_needed(asked, judged, found, schedule),
        hours=questions.hours(asked, {claim.better: better, claim.worse: worse}, schedule),
    )


def verdicts(
    found: Iterable[Case], earlier: Mapping[str, tuple[Earlier, ...]], late: Mapping[str, str]
) -> tuple[Verdict, ...]:
    """What a board shows of its claims.

    Args:
        found: all of the suite's, since each has a q-value among them.
        earlier: what claims were answered before (`looked.earlier`).
        late: what of them was declared after results had been seen (`looked.late`).
    """
    read = list(found)
    q = q_values({one.claim.id: one.judged.adjusted_p for one in read})
    own: dict[str, list[str]] = {}
    for one in read:
        if one.own_setting:
            own.setdefault(one.claim.paper, []).append(one.judged.answer)
    notes = {one.claim.id: [_control(one, own), late.get(one.claim.id)] for one in read}
    return tuple(
        _verdict(one, q[one.claim.id], earlier.get(one.claim.id, ()), filter(None, notes[one.claim.id])) for one in read
    )


def _control(found: Case, own: Mapping[str, Sequence[str]]) -> str | None:
    """Of a claim that fails: what its paper's claims are answered near the paper's own setting.

    Args:
        found: the claim.
        own: paper -> the answers there.
    """
    if found.judged.answer != "fails" or found.own_setting or wording.paper_url(found.claim.paper) is None:
        return None
    answers = Counter(own.get(found.claim.paper, ()))
    told = ", ".join(f"{count} {answer}" for answer, count in answers.items())
    return f"near its own setting: {told}" if told else "its own setting was not tried in this suite"


def _verdict(found: Case, q: float | None, earlier: tuple[Earlier, ...], more: Iterable[str]) -> Verdict:
    claim, judged = found.claim, found.judged
    ends = judged.interval
    difference = None
    if ends is not None:
        difference = Estimate(ends.mean, ends.low, ends.high)
    elif found.found is not None:
        difference = Estimate(found.found.mean)
    return Verdict(
        id=claim.id,
        paper=claim.paper,
        says=claim.says,
        scenario=claim.scenario,
        better=claim.better,
        worse=claim.worse,
        metric=found.metric.name,
        times=claim.times,
        margin=claim.margin,
        equal_within=found.question.equal_within,
        answer=judged.answer,
        reason=judged.reason,
        notes=(*found.notes, *more),
        seeds=judged.look.n if judged.look else 0,
        level=judged.look.level if judged.look else None,
        difference=difference,
        p=judged.p,
        q=q,
        earlier=earlier,
        own_setting=found.own_setting,
        seeds_needed=found.seeds_needed,
        hours=found.hours,
    )


def _failures(claim: Claim, metric: Metric, records: Sequence[Seeds], seeds: Iterable[int]) -> list[str]:
    """Which rows have no result at seeds that the next look waits for, and why; nothing replaces these seeds."""
    told: dict[tuple[str, str], list[int]] = {}
    for label, row in zip((claim.better, claim.worse), records, strict=True):
        for seed in seeds:
            if seed in row and not with_value({seed: row[seed]}, metric):
                record = row[seed]
                why = f"{record.status}: {record.reason}" if record.status != "ok" else f"it has no {metric.name}"
                told.setdefault((label, why), []).append(seed)
    return [f"{label} has no result at {_seeds(found)} ({why})" for (label, why), found in told.items()]


def _repeated(come: Reached) -> list[str]:
    if not come.repeated:
        return []
    return [f"{_seeds(come.repeated)} on the standard models of an earlier seed, and so no seed more"]


def _seeds(seeds: Iterable[int]) -> str:
    told = [str(seed) for seed in seeds]
    return f"seed{'s' * (len(told) > 1)} {', '.join(told)}"


def _absent(claim: Claim, selection: Selection, come: Reached) -> list[str]:
    """What the first look waits for."""
    places = [(claim.scenario, label) for label in (claim.better, claim.worse)]
    told = [
        f"{label}: {EARLIER if (scenario, label) in selection.earlier else NOT_RUN}"
        for scenario, label in places
        if not selection.cells.get((scenario, label))
    ]
    return told or [f"without a result: {_seeds(come.missing)}"]
