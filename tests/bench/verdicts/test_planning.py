"""What the next look is predicted to show, and which seeds are run first."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.verdicts.interval import Sample, half_width
from bench.verdicts.looks import schedule
from bench.verdicts.planning import Candidate, chance_of_decision, plan, seeds_to_decide

LOOKS = schedule()
AT6 = LOOKS.looks[1]
NOW = Sample((0.004, 0.010, 0.001), s_examples=0.001, examples=1000)


def predicted(found: Sample, margin: float, within: float | None) -> float:
    """The same by drawing the next mean."""
    t = np.random.default_rng(0).standard_t(found.n - 1, 200_000)
    mean = found.mean + t * found.sd * np.sqrt(1 / found.n - 1 / AT6.n)
    half = half_width(AT6.n, found.sd, found.s_examples, AT6.level)
    decided = (mean - half > margin) | (mean + half < margin)
    if within is not None:
        decided |= (mean - half > -within) & (mean + half < within)
    return float(decided.mean())


@pytest.mark.parametrize("margin", [-0.02, 0.0, 0.004, 0.02])
@pytest.mark.parametrize("within", [None, 0.004, 0.01, 0.03])
def test_chance_is_that_of_drawn_means(margin: float, within: float | None) -> None:
    found = chance_of_decision(NOW, AT6, margin, within)
    assert found == pytest.approx(predicted(NOW, margin, within), abs=0.005)


def test_chance_without_spread_over_seeds() -> None:
    steady = Sample((0.02,) * 3, s_examples=0.001, examples=1000)
    assert chance_of_decision(steady, AT6, 0.0) == 1.0
    assert chance_of_decision(steady, AT6, 0.0205) == 0.0


def test_nothing_is_predicted_from_what_settles_nothing() -> None:
    assert chance_of_decision(Sample((0.3,)), AT6, 0.0) == 0.0
    assert chance_of_decision(Sample((0.0, 0.0, 0.0), identical=True), AT6, 0.0, 0.01) == 0.0


def test_the_next_look_lies_ahead() -> None:
    with pytest.raises(ValueError, match="got 3 after 3"):
        chance_of_decision(NOW, LOOKS.looks[0], 0.0)


def of_deviation_one(effect: float) -> Sample:
    return Sample((effect + 0.5**0.5, effect - 0.5**0.5))


@pytest.mark.parametrize(("effect", "n"), [(0.5, 39), (1.0, 12), (8.0, 3)])
def test_seeds_to_decide_by_the_noncentral_t(effect: float, n: int) -> None:
    """Two-sided at .0318, as the last of the looks 3, 6, 12."""
    assert seeds_to_decide(of_deviation_one(effect), LOOKS, 0.0) == n
    at = stats.t.isf(0.0159, np.array([n - 2, n - 1]))
    power = stats.nct.sf(at, [n - 2, n - 1], effect * np.sqrt([n - 1, n]))
    assert power[0] < 0.8 < power[1]


@pytest.mark.parametrize("effect", [0.2, 0.5, 1.0, 2.0])
def test_seeds_to_decide_is_the_power_of_the_t_test(effect: float) -> None:
    power = pytest.importorskip("statsmodels.stats.power").TTestPower()
    n = seeds_to_decide(of_deviation_one(effect), LOOKS, 0.0)
    assert n is not None
    at = [power.power(effect, k, LOOKS.looks[-1].level) for k in (n - 1, n)]
    assert at[0] < 0.8 + 2e-3
    assert at[1] > 0.8 - 2e-3


def test_rows_that_are_equal_are_decided_by_as_many_seeds_as_show_it() -> None:
    near = Sample((0.001, -0.004, 0.004, -0.001))
    never = seeds_to_decide(near, LOOKS, 0.0)
    equal = seeds_to_decide(near, LOOKS, 0.0, equal_within=0.01)
    assert never is None
    assert equal is not None
    assert equal < 12
    assert seeds_to_decide(near, LOOKS, -0.01, equal_within=0.01) <= equal


def test_seeds_to_decide_where_examples_are_too_few() -> None:
    assert seeds_to_decide(Sample((0.01, 0.012), s_examples=0.01, examples=100), LOOKS, 0.0) is None
    assert seeds_to_decide(Sample((0.01, 0.012), s_examples=0.001, examples=100), LOOKS, 0.0) is not None
    assert seeds_to_decide(Sample((0.01, -0.01)), LOOKS, 0.0) is None
    assert seeds_to_decide(Sample((0.01, 0.01)), LOOKS, 0.0) is None


def test_most_chance_an_hour_first() -> None:
    candidates = [
        Candidate("slow", 0.9, {"a": 100.0, "b": 100.0}),
        Candidate("fast", 0.3, {"c": 10.0}),
        Candidate("hopeless", 0.0, {"d": 1.0}),
    ]
    steps = plan(candidates)
    assert [(s.claim, s.cells, s.seconds) for s in steps] == [("fast", ("c",), 10.0), ("slow", ("a", "b"), 200.0)]


def test_shared_cells_are_run_and_paid_for_once() -> None:
    candidates = [
        Candidate("one", 0.5, {"host": 100.0, "x": 10.0}),
        Candidate("two", 0.4, {"host": 100.0, "y": 30.0}),
        Candidate("between", 0.1, {"z": 50.0}),
        Candidate("free", 0.01, {"host": 100.0}),
    ]
    steps = plan(candidates)
    assert [s.claim for s in steps] == ["one", "free", "two", "between"]
    assert [s.cells for s in steps] == [("host", "x"), (), ("y",), ("z",)]
    assert sum(s.seconds for s in steps) == 190.0


def test_a_budget_takes_what_still_fits() -> None:
    candidates = [Candidate("a", 0.9, {1: 60.0}), Candidate("b", 0.8, {2: 70.0}), Candidate("c", 0.1, {3: 40.0})]
    assert [s.claim for s in plan(candidates, budget=100.0)] == ["a", "c"]
    assert plan(candidates, budget=5.0) == []


def test_a_plan_does_not_depend_on_ties_beyond_the_order_given() -> None:
    candidates = [Candidate(name, 0.5, {name: 10.0}) for name in "ba"]
    assert [s.claim for s in plan(candidates)] == ["b", "a"]
