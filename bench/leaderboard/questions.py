"""What a claim asks of the difference of its rows: margin, region of equality, premise and effort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench import registry
from bench.leaderboard import comparing, measures
from bench.leaderboard.comparing import Seeds
from bench.leaderboard.looking import seeds_reached, with_value
from bench.leaderboard.selection import Selection
from bench.metrics.metric import Metric
from bench.records.record import Record
from bench.schema.tables import OF_BOARD
from bench.suite.claims import Claim
from bench.suite.suite import Suite
from bench.verdicts import planning, verdict
from bench.verdicts.interval import Sample
from bench.verdicts.looks import Reached, Schedule

ACCURACY = "accuracy"
"""The metric that has a region of equality where a suite chose one for all its claims."""


def question(
    suite: Suite,
    claim: Claim,
    metric: Metric,
    premise: verdict.Premise | None,
    better: Seeds,
    worse: Seeds,
    come: Reached,
) -> verdict.Question:
    """What is asked of the difference, and what the records say to that beside the difference itself.

    Args:
        suite: the claim's.
        claim: it.
        metric: what it is about.
        premise: what it requires, as found.
        better: the row that is said to be better, where it has a result.
        worse: the other.
        come: how far the claim's seeds have come.
    """
    return verdict.Question(
        claim.margin,
        claim.equal_within or post_hoc(suite, claim, metric),
        premise,
        effort(claim, better, worse, [seed for group in come.groups for seed in group]),
    )


def post_hoc(suite: Suite, claim: Claim, metric: Metric) -> float | None:
    """The region of equality that the suite chose after results had been seen, where it is the claim's."""
    declared = claim.equal_within is not None or claim.times != 1.0 or metric.name != ACCURACY
    return None if declared else suite.equal_within_post_hoc


def premise(
    suite: Suite, claim: Claim, selection: Selection, schedule: Schedule
) -> tuple[verdict.Premise, Reached] | tuple[None, None]:
    """What the claim requires, at the last complete look of the row that has to show it, and how far that row is."""
    wanted = claim.requires
    if wanted is None:
        return None, None
    kind = registry.SCENARIOS.get(suite.scenarios[claim.scenario].kind)
    metric = kind.metric(wanted.metric or kind.headline)
    row = with_value(selection.cells.get((claim.scenario, wanted.row), {}), metric)
    come = seeds_reached(suite, schedule, row)
    found = comparing.sample_of_row(row, come.groups, metric) if come.look is not None else None
    return verdict.Premise(f"{measures.title(metric)} of {wanted.row}", wanted.at_least, found, come.look), come


def effort(claim: Claim, better: Seeds, worse: Seeds, seeds: Sequence[int]) -> verdict.Effort | None:
    """The share of its paper's effort that a row had at the seeds of a look; None before the first look."""
    asked = claim.effort
    if asked is None or not seeds:
        return None
    of_rival = asked.row == claim.worse
    spent = [_spent((worse if of_rival else better)[seed], asked.of) for seed in seeds]
    known = [value for value in spent if value is not None]
    if len(known) < len(seeds):
        return None
    return verdict.Effort(asked.row or claim.better, sum(known) / len(known) / asked.paper, asked.at_least, of_rival)


def seeds_needed(
    asked: verdict.Question, judged: verdict.Judged, found: Sample | None, schedule: Schedule
) -> int | None:
    """At how many seeds an undecided claim would be decided (`planning.seeds_to_decide`).

    None where it is decided, where no look is complete, or where no number of seeds is known to be enough.
    """
    if judged.answer != "undecided" or found is None:
        return None
    own = planning.seeds_to_decide(found, schedule, asked.margin, asked.equal_within)
    premise = asked.premise
    if premise is None or not premise.open:
        return own
    if premise.found is None:
        return None
    first = planning.seeds_to_decide(premise.found, schedule, premise.at_least)
    if first is None or premise.found.mean < premise.at_least:
        return first
    return None if own is None else max(own, first)


def hours(asked: verdict.Question, rows: Mapping[str, Seeds], schedule: Schedule) -> float | None:
    """Hours of a row at its paper's effort and the seeds of the first look, if time grows as the effort does.

    None where the claim declares no effort, where the row had all of it, or where its seconds are not known.

    Args:
        asked: what is asked of the claim.
        rows: label -> records, of both rows.
        schedule: gives the number of seeds.
    """
    made = asked.effort
    if made is None or made.share >= 1 or made.share <= 0:
        return None
    seconds = [r.costs["seconds"] for r in rows[made.row].values() if "seconds" in r.costs]
    if not seconds:
        return None
    return sum(seconds) / len(seconds) / made.share * schedule.looks[0].n / 3600


def _spent(record: Record, name: str) -> float | None:
    """What `Effort.of` names, in a record; None where it is no number."""
    if name.startswith(OF_BOARD):
        found = record.asked.get("settings", {}).get(name.removeprefix(OF_BOARD))
    else:
        found = comparing.value(record, name)
        found = record.params.get(name) if found is None else found
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None
