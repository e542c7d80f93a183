"""The order of verdicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.verdicts.interval import Sample
from bench.verdicts.looks import TOTAL, Look, schedule
from bench.verdicts.verdict import Effort, Judged, Premise, Question, judge

LOOKS = schedule()
AT6 = LOOKS.looks[1]


def differences(mean: float, sd: float = 0.004, n: int = 6) -> Sample:
    """n seeds of this mean and deviation."""
    values = np.linspace(-1, 1, n)
    return Sample(tuple(mean + sd * values / values.std(ddof=1)))


def answer(found: Sample, **question: object) -> Judged:
    return judge(Question(**question), LOOKS, AT6, found)  # type: ignore[arg-type]


def forgetting(mean: float, sd: float = 0.004) -> Premise:
    return Premise("host: worst_drop", 0.05, differences(mean, sd), AT6)


@pytest.mark.parametrize(
    ("mean", "margin", "expected"),
    [
        (0.02, 0.0, "holds"),
        (-0.02, 0.0, "fails"),
        (0.02, 0.05, "fails"),
        (-0.005, -0.02, "holds"),
        (0.004, 0.0, "undecided"),
        (0.02, 0.02, "undecided"),
    ],
)
def test_against_the_margin(mean: float, margin: float, expected: str) -> None:
    found = answer(differences(mean), margin=margin)
    assert found.answer == expected
    assert bool(found.reason) == (expected == "undecided")
    assert found.p is not None
    assert (found.p < AT6.level) == (expected != "undecided")


def test_equal_comes_after_holds_and_fails() -> None:
    assert answer(differences(0.002), equal_within=0.01).answer == "equal"
    assert answer(differences(0.002, 0.0004), equal_within=0.01).answer == "holds"
    assert answer(differences(-0.002, 0.0004), equal_within=0.01).answer == "fails"
    assert answer(differences(0.002, 0.01), equal_within=0.01).answer == "undecided"


def test_the_region_of_equality_is_around_no_difference() -> None:
    assert answer(differences(0.05), margin=0.05, equal_within=0.01).answer == "undecided"


def test_too_little_effort_turns_fails_alone() -> None:
    effort = Effort("gram", share=0.04, least=0.1)
    found = answer(differences(-0.02), effort=effort)
    assert (found.answer, found.reason) == (
        "under-run",
        "gram had 4 % of its paper's effort, and below 10 % nothing fails",
    )
    assert answer(differences(0.02), effort=effort).answer == "holds"
    assert answer(differences(0.002), effort=effort, equal_within=0.01).answer == "equal"
    assert answer(differences(-0.02), effort=Effort("gram", share=0.1, least=0.1)).answer == "fails"


def test_nothing_holds_against_a_rival_that_had_too_little_effort() -> None:
    effort = Effort("average", share=0.2, least=0.5, of_rival=True)
    found = answer(differences(0.02), effort=effort)
    told = "average had 20 % of its paper's effort, and below 50 % nothing holds against it"
    assert (found.answer, found.reason) == ("under-run", told)
    assert answer(differences(-0.02), effort=effort).answer == "fails"
    assert answer(differences(0.002), effort=effort, equal_within=0.01).answer == "equal"


def test_a_premise_that_is_not_met_comes_first() -> None:
    found = answer(differences(0.02), premise=forgetting(0.02))
    assert found.answer == "not testable here"
    assert found.reason.startswith("host: worst_drop is to be at least 0.05, and is 0.02 (0.01416 to 0.02584)")
    assert found.p is None


def test_a_premise_that_is_open_decides_nothing() -> None:
    found = answer(differences(0.02), premise=forgetting(0.05))
    assert found.answer == "undecided"
    assert "what it requires is open: host: worst_drop" in found.reason
    assert found.interval is not None
    waiting = answer(differences(0.02), premise=replace(forgetting(0.05), found=None, look=None))
    assert (waiting.answer, "first look is not complete" in waiting.reason) == ("undecided", True)


def test_a_premise_that_is_met_changes_nothing() -> None:
    assert answer(differences(0.02), premise=forgetting(0.09)) == answer(differences(0.02))


def test_a_premise_at_its_bound_needs_no_spread() -> None:
    """An attack that succeeds on all images at all seeds is there."""
    premise = Premise("teacher: attack_success", 0.5, Sample((1.0,) * 6), AT6)
    assert answer(differences(0.02), premise=premise).answer == "holds"


def test_before_the_first_look() -> None:
    found = judge(Question(), LOOKS, None, None)
    assert (found.answer, found.reason) == ("undecided", "no look is complete: the first is at 3 seeds")
    unmet = judge(Question(premise=forgetting(0.02)), LOOKS, None, None)
    assert unmet.answer == "not testable here"


def test_what_settles_nothing_is_undecided() -> None:
    found = answer(Sample((0.0,) * 6, identical=True), margin=-0.01, equal_within=0.01)
    assert (found.answer, found.reason, found.p) == ("undecided", "the two rows are identical", None)


@pytest.mark.parametrize("look", LOOKS.looks)
def test_the_adjusted_p_is_below_the_total_where_the_claim_is_decided(look: Look) -> None:
    for mean in (0.0, 0.0028, 0.0029, 0.0058, 0.0059, 0.0258, 0.026):
        found = judge(Question(), LOOKS, look, differences(mean, n=look.n))
        assert found.adjusted_p is not None
        assert (found.adjusted_p < LOOKS.total) == (found.answer == "holds")
    assert LOOKS.total == pytest.approx(TOTAL, abs=1e-4)
