"""Intervals and p-values, by hand and against statsmodels and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.verdicts.interval import Sample, example_error, half_width, interval, margin_p, sample, unsettled

LEVEL = 0.0159
finite = st.floats(-1, 1, allow_subnormal=False)


def test_by_hand() -> None:
    found = Sample((0.041, 0.049, 0.045), s_examples=0.003, examples=1000)
    ends = interval(found, 0.0079)
    by_seeds = 11.1838 * 0.004 / math.sqrt(3)  # t of 2 degrees of freedom at .99605
    half = math.sqrt(by_seeds**2 + (2.6571 * 0.003) ** 2)
    assert (ends.mean, ends.level) == (pytest.approx(0.045), 0.0079)
    assert (ends.low, ends.high) == (pytest.approx(0.045 - half, abs=1e-6), pytest.approx(0.045 + half, abs=1e-6))


def test_half_widths_in_deviations() -> None:
    assert [round(half_width(n, 1, 0, a), 2) for n, a in ((3, 0.0079), (6, 0.0159), (12, 0.0318))] == [6.46, 1.46, 0.71]


def test_one_value_has_no_interval() -> None:
    with pytest.raises(ValueError, match="two values or more, got 1"):
        interval(Sample((0.5,)), LEVEL)


def test_without_examples_it_is_the_t_test() -> None:
    values = (0.01, 0.03, -0.02, 0.05, 0.02)
    theirs = stats.ttest_1samp(values, 0.004)
    found = Sample(values)
    assert margin_p(found, 0.004) == pytest.approx(theirs.pvalue)
    low, high = theirs.confidence_interval(1 - LEVEL)
    ends = interval(found, LEVEL)
    assert (ends.low, ends.high) == (pytest.approx(low), pytest.approx(high))


def test_without_spread_it_is_the_normal_law() -> None:
    found = Sample((0.02, 0.02, 0.02), s_examples=0.01, examples=100)
    assert margin_p(found, 0.0) == pytest.approx(2 * stats.norm.sf(2))


@given(st.lists(finite, min_size=2, max_size=12), st.floats(0, 0.1), finite, st.sampled_from([0.0038, LEVEL, 0.3]))
def test_p_is_below_a_level_where_the_interval_leaves_out_the_margin(
    values: list[float], s_examples: float, margin: float, level: float
) -> None:
    found = Sample(tuple(values), s_examples, 100)
    ends, p = interval(found, level), margin_p(found, margin)
    away = abs(found.mean - margin) - (ends.high - ends.low) / 2
    assert 0 <= p <= 1
    if abs(away) > 1e-9:
        assert (p < level) == (away > 0)


def test_p_of_no_error_at_all() -> None:
    assert margin_p(Sample((0.25, 0.25)), 0.0) == 0.0
    assert margin_p(Sample((0.25, 0.25)), 0.25) == 1.0


def test_p_far_away_does_not_fail() -> None:
    assert margin_p(Sample((0.5, 0.5001) * 10, 1e-4, 1000), 0.0) == pytest.approx(1e-15)


def test_two_one_sided_tests_are_the_interval_within_the_region() -> None:
    weightstats = pytest.importorskip("statsmodels.stats.weightstats")
    rng = np.random.default_rng(3)
    seen = set()
    for _ in range(60):
        a, b = rng.normal(0, 0.004, (2, 6)) + rng.normal(0, 0.003)
        theirs = weightstats.ttost_paired(a, b, -0.01, 0.01)[0]
        ends = interval(Sample(tuple(a - b)), LEVEL)
        within = ends.low > -0.01 and ends.high < 0.01
        assert within == (theirs < LEVEL / 2)
        seen.add(within)
    assert seen == {True, False}


def test_two_one_sided_tests_by_hand() -> None:
    """Mean 0, sd 0.005, four seeds: t = 0.01 / 0.0025 = 4 to either side, one-sided p = 0.0140 at 3 degrees."""
    found = Sample((0.0075**0.5 * 0.05, -(0.0075**0.5) * 0.05, 0.0, 0.0))
    scale = 0.005 / found.sd
    found = Sample(tuple(scale * v for v in found.values))
    assert interval(found, 0.0281).high < 0.01 < interval(found, 0.0279).high


def test_example_error_of_ten_agreeing_answers() -> None:
    assert example_error(np.zeros((3, 10), dtype=np.int8)) == pytest.approx(math.sqrt(2 / (11 * 12)))


def test_example_error_of_one_seed_by_hand() -> None:
    """Bonett and Price: (p12 + p21 - (p12 - p21)^2) / (n + 2) with one pair added to either; their n is our n - 1."""
    scores = np.array([[1] * 6 + [-1] * 2 + [0] * 40], dtype=np.int8)
    won, lost, n = 7 / 50, 3 / 50, 50
    assert example_error(scores) == pytest.approx(math.sqrt((won + lost - (won - lost) ** 2) / (n - 1)))


def test_example_error_leaves_to_the_seeds_what_they_pay_for() -> None:
    """Answers that are independent from seed to seed have no part that is the examples' own."""
    scores = np.random.default_rng(0).integers(-1, 2, (12, 2000)).astype(np.int8)
    naive = scores.mean(0).std(ddof=1) / math.sqrt(2000)
    assert example_error(scores) < 0.35 * naive


def test_example_error_of_a_common_difference() -> None:
    """What every seed answers alike is the examples' own, all of it."""
    one = np.random.default_rng(0).integers(-1, 2, 2000).astype(np.int8)
    assert example_error(np.stack([one] * 5)) == pytest.approx(one.std(ddof=1) / math.sqrt(2000), rel=2e-3)


def test_seeds_of_one_group_are_averaged() -> None:
    found = sample([(0, 1), (2,)], {0: 0.1, 1: 0.3, 2: 0.4})
    assert found.values == pytest.approx((0.2, 0.4))
    assert (found.n, found.examples, found.identical) == (2, None, False)


def test_a_sample_with_scores() -> None:
    scores = np.array([[1, 0, 0, 0], [1, 1, 0, -1]], dtype=np.int8)
    found = sample([(0,), (1,)], {0: 0.25, 1: 0.25}, scores)
    assert (found.examples, found.s_examples) == (4, example_error(scores))
    assert unsettled(found) == ""


@pytest.mark.parametrize(
    ("groups", "scores", "message"),
    [([], None, "one seed"), ([(0,)], (2, 3), "1 seeds, got shape"), ([(0,)], (1, 0), "got shape")],
)
def test_what_is_no_sample(groups: list[tuple[int, ...]], scores: tuple[int, int] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sample(groups, {0: 0.0}, None if scores is None else np.zeros(scores, dtype=np.int8))


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Sample((0.1,)), "one distinct standard model"),
        (Sample((0.0, 1.0, 0.0), 0.5, examples=1), "one test example"),
        (sample([(0,), (1,)], {0: 0.0, 1: 0.0}, np.zeros((2, 50), dtype=np.int8)), "identical"),
        (sample([(0,), (1,)], {0: 0.0, 1: 0.0}), "identical"),
        (sample([(0,), (1,)], {0: 0.3, 1: 0.3}), "same at every seed"),
        (sample([(0,), (1,)], {0: 0.0, 1: 0.0}, np.array([[1, -1], [1, -1]], dtype=np.int8)), ""),
        (sample([(0,), (1,)], {0: 0.0, 1: 0.1}), ""),
    ],
)
def test_what_settles_nothing(found: Sample, reason: str) -> None:
    assert reason in unsettled(found)
    assert bool(reason) == bool(unsettled(found))
