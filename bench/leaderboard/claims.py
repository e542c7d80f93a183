"""What papers claim, and what the records say to it."""

from __future__ import annotations

from bench import registry
from bench.leaderboard import comparing, pairing
from bench.leaderboard.board import Answer, Difference, Verdict
from bench.leaderboard.selection import Selection
from bench.suite.claims import Claim
from bench.suite.suite import Suite


def verdicts(suite: Suite, selection: Selection) -> tuple[Verdict, ...]:
    """One verdict a claim, in the suite's order."""
    return tuple(verdict(suite, claim, selection) for claim in suite.claims)


def verdict(suite: Suite, claim: Claim, selection: Selection) -> Verdict:
    """Judge one claim: `better` against `times` the `worse`, with the margin taken off.

    `holds` if the 95 % interval lies above 0, `fails` if it lies below, `undecided` if it reaches to both
    sides or there is one seed only, `missing` if a row has no result.
    """
    kind = registry.SCENARIOS.get(suite.scenarios[claim.scenario].kind)
    metric = kind.metric(claim.metric or kind.headline)
    rows = [
        {s: r for s, r in selection.cells.get((claim.scenario, label), {}).items() if r.status == "ok"}
        for label in (claim.better, claim.worse)
    ]
    found = comparing.difference(rows[0], rows[1], metric, claim.times)
    answer: Answer = "missing"
    if found is None:
        reason = _why_missing(claim, metric.name, selection)
    else:
        answer, reason = _judge(found, claim.margin)
        reason = "; ".join(filter(None, (reason, found.unpaired)))
    return Verdict(
        id=claim.id,
        paper=claim.paper,
        says=claim.says,
        scenario=claim.scenario,
        better=claim.better,
        worse=claim.worse,
        metric=metric.name,
        times=claim.times,
        margin=claim.margin,
        answer=answer,
        reason=reason,
        difference=found,
    )


def _judge(found: Difference, margin: float) -> tuple[Answer, str]:
    if found.seeds < 2 or found.low is None or found.high is None:
        return "undecided", "one seed: nothing is known of the spread over seeds"
    if found.low - margin > 0:
        return "holds", ""
    if found.high - margin < 0:
        return "fails", ""
    return "undecided", "the interval reaches to both sides"


def _why_missing(claim: Claim, metric: str, selection: Selection) -> str:
    """The first thing that stands in the way, in words."""
    for label in (claim.better, claim.worse):
        place = (claim.scenario, label)
        records = list(selection.cells.get(place, {}).values())
        ok = [r for r in records if r.status == "ok"]
        if not records and place in selection.earlier:
            return f"{label}: its records are of other settings than the suite asks for now"
        if not records:
            return f"{label}: not run"
        if not ok:
            return f"{label}: {records[-1].status}: {records[-1].reason}"
        if not any(comparing.value(r, metric) is not None for r in ok):
            return f"{label} has no metric {metric!r}; it has {', '.join(sorted(ok[0].metrics))}"
    rows = [selection.cells.get((claim.scenario, label), {}) for label in (claim.better, claim.worse)]
    if apart := pairing.unpaired(*rows):
        return pairing.told(claim.better, claim.worse, apart)
    return f"{claim.better} and {claim.worse} have no seed in common"
