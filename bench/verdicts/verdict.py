"""What a look answers: not testable here, holds, fails, under-run, equal or undecided; the first that applies.

1. *not testable here*: what the claim requires of its set-up is not there, by its own interval. Where that is open,
   the claim is undecided.
2. *holds* or *fails*: the interval lies on one side of the margin. Where the row that loses had less than the declared
   share of its paper's effort, the claim is *under-run* instead.
3. *equal*: the interval lies within `equal_within` of no difference. Two one-sided tests at half the level each say
   the same (Schuirmann, J. Pharmacokin. Biopharm. 15, 1987).
4. *undecided*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.verdicts.interval import Interval, Sample, interval, margin_p, unsettled
from bench.verdicts.looks import Look, Schedule

BOTH_SIDES = "the interval reaches to both sides"

Answer = Literal["holds", "fails", "equal", "undecided", "not testable here", "under-run"]


@dataclass(frozen=True)
class Premise:
    """What a claim requires: the mean of a row's metric is at least so much."""

    what: str
    """Row and metric, in words."""
    at_least: float
    found: Sample | None
    """The row's values at its own last complete look; None before the first."""
    look: Look | None

    @property
    def open(self) -> bool:
        """Whether nothing is known of it yet, or its interval reaches to both sides."""
        return _premise(self) == "open"


@dataclass(frozen=True)
class Effort:
    """How much of its paper's effort a row got."""

    row: str
    share: float
    least: float
    """The share below which nothing fails for it, or holds against it."""
    of_rival: bool = False
    """Whether it is the row that is said to be worse."""


@dataclass(frozen=True)
class Question:
    """What a claim asks of the difference of its rows, in the metric's good direction."""

    margin: float = 0.0
    equal_within: float | None = None
    premise: Premise | None = None
    effort: Effort | None = None


@dataclass(frozen=True)
class Judged:
    """The answer at one look."""

    answer: Answer
    reason: str = ""
    """Why nothing else was answered; empty where the interval says it."""
    look: Look | None = None
    interval: Interval | None = None
    p: float | None = None
    """Of the margin, two-sided, at this look (`interval.margin_p`)."""
    adjusted_p: float | None = None
    """The share of true nulls that the looks would refuse together at levels at which this one just refuses; below
    the total of the looks where the claim holds or fails, and only there."""


def judge(question: Question, schedule: Schedule, look: Look | None, found: Sample | None) -> Judged:
    """Judge one claim at its last complete look.

    Args:
        question: margin, region of equality, premise and effort.
        schedule: all looks, for the adjusted p-value.
        look: the last complete one; None before the first.
        found: the differences at that look; None before the first.
    """
    premise = question.premise
    held = _premise(premise) if premise is not None else "met"
    if premise is not None and held == "not met":
        return Judged("not testable here", _told(premise), look)
    if look is None or found is None:
        return Judged("undecided", f"no look is complete: the first is at {schedule.looks[0].n} seeds")
    if nothing := unsettled(found):
        return Judged("undecided", nothing, look)
    ends, p = interval(found, look.level), margin_p(found, question.margin)
    judged = Judged("undecided", "", look, ends, p, schedule.adjusted(p / look.level))
    if premise is not None and held == "open":
        return _with(judged, "undecided", f"what it requires is open: {_told(premise)}")
    if ends.low > question.margin:
        return _unless_under_run(judged, "holds", question.effort)
    if ends.high < question.margin:
        return _unless_under_run(judged, "fails", question.effort)
    within = question.equal_within
    if within is not None and -within < ends.low and ends.high < within:
        return _with(judged, "equal")
    return _with(judged, "undecided", BOTH_SIDES)


def _unless_under_run(judged: Judged, answer: Literal["holds", "fails"], effort: Effort | None) -> Judged:
    """`answer`, but where a row lost that had too little effort."""
    loses = effort is not None and effort.of_rival == (answer == "holds")
    if effort is None or not loses or effort.share >= effort.least:
        return _with(judged, answer)
    what = "holds against it" if effort.of_rival else "fails"
    had, least = (f"{100 * share:.2g} %" for share in (effort.share, effort.least))
    reason = f"{effort.row} had {had} of its paper's effort, and below {least} nothing {what}"
    return _with(judged, "under-run", reason)


def _with(judged: Judged, answer: Answer, reason: str = "") -> Judged:
    return Judged(answer, reason, judged.look, judged.interval, judged.p, judged.adjusted_p)


def _premise(premise: Premise) -> Literal["met", "not met", "open"]:
    if premise.found is None or premise.look is None:
        return "open"
    ends = interval(premise.found, premise.look.level)
    if ends.low >= premise.at_least:
        return "met"
    return "not met" if ends.high < premise.at_least else "open"


def _told(premise: Premise) -> str:
    """A premise with its figure."""
    wanted = f"{premise.what} is to be at least {premise.at_least:.4g}"
    if premise.found is None or premise.look is None:
        return f"{wanted}, and its first look is not complete"
    ends = interval(premise.found, premise.look.level)
    return f"{wanted}, and is {ends.mean:.4g} ({ends.low:.4g} to {ends.high:.4g}) at {premise.look.n} seeds"
