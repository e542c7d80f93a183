from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from bench.metrics.resampling import (
    bootstrap_difference,
    bootstrap_score,
    mean_squares,
    shrink,
    t_difference,
    t_score,
)

shapes = st.tuples(st.integers(1, 5), st.integers(1, 30))
pairs = shapes.flatmap(lambda s: st.tuples(hnp.arrays(bool, s), hnp.arrays(bool, s)))


def textbook(x, rng, draws):
    """The interval's law as the docstring says it: examples by their indices, seeds by Student's t."""
    seeds, examples = x.shape
    by_example, by_seed = x.mean(0), x.mean(1)
    factor = 1.0
    if seeds > 1 and by_example.var() > 0:
        rest = x - by_example - by_seed[:, None] + x.mean()
        ms_rest = (rest**2).sum() / ((seeds - 1) * (examples - 1))
        ms_examples = seeds * by_example.var(ddof=1)
        factor = np.sqrt(max(0, 1 - ms_rest / ms_examples))
    out = np.empty(draws)
    for d in range(draws):
        out[d] = x.mean() + factor * (by_example[rng.integers(0, examples, examples)].mean() - x.mean())
        if seeds > 1:
            out[d] += rng.standard_t(seeds - 1) * by_seed.std(ddof=1) / np.sqrt(seeds)
    return out


def simulated(rng, seeds, examples, *, seed_sd, example_sd, rest_sd):
    """Two rows of equal true accuracy, right where a latent number is positive: bool [2, S, N]."""
    hard = rng.normal(0, example_sd, (2, 1, examples))
    luck = rng.normal(0, seed_sd, (2, seeds, 1))
    return hard + luck + rng.normal(1.2, rest_sd, (2, seeds, examples)) > 0


@pytest.mark.parametrize(
    ("seeds", "kind"),
    [(1, "example_sd"), (3, "example_sd"), (3, "seed_sd"), (5, "rest_sd")],
)
def test_equals_the_textbook_within_its_own_noise(seeds, kind):
    rng = np.random.default_rng(5)
    spread = {"seed_sd": 0.2, "example_sd": 0.5, "rest_sd": 0.5} | {kind: 1.0}
    a, b = simulated(rng, seeds, 150, **spread)
    slow = textbook(a.astype(float) - b, rng, 4000)
    fast = bootstrap_difference(a, b, seed=1)
    low, high = np.quantile(slow, [0.025, 0.975])
    near = max(0.06 * (high - low), 1.01 / a[0].size)  # one seed's means are whole numbers of examples
    assert fast.mean == pytest.approx(a.mean() - b.mean(), abs=1e-12)
    assert fast.low == pytest.approx(low, abs=near)
    assert fast.high == pytest.approx(high, abs=near)
    assert fast.p == pytest.approx(2 * min((slow <= 0).mean(), (slow >= 0).mean()), abs=0.03)
    one = bootstrap_score(a, seed=1)
    low, high = np.quantile(textbook(a.astype(float), rng, 4000), [0.025, 0.975])
    near = max(0.06 * (high - low), 1.01 / a[0].size)
    assert one.low == pytest.approx(low, abs=near)
    assert one.high == pytest.approx(min(high, 1), abs=near)


def test_one_seed_equals_all_resamples_there_are():
    a, b = np.array([[1, 1, 0, 1, 0]], bool), np.array([[0, 1, 1, 0, 0]], bool)
    every = [np.mean([a[0, i].astype(int) - b[0, i] for i in rows]) for rows in product(range(5), repeat=5)]
    for level in (0.5, 0.8, 0.95):
        found = bootstrap_difference(a, b, seed=2, level=level)
        assert (found.low, found.high) == pytest.approx(np.quantile(every, [(1 - level) / 2, (1 + level) / 2]))
    exact = 2 * min(np.mean(np.array(every) <= 1e-12), np.mean(np.array(every) >= -1e-12))
    assert found.p == pytest.approx(exact, abs=0.02)


def test_one_seed_of_one_row_is_a_binomial():
    correct = np.arange(400)[None] < 300
    found = bootstrap_score(correct, seed=0, draws=50_000)
    assert found.low * 400 == pytest.approx(stats.binom.ppf(0.025, 400, 0.75), abs=1)
    assert found.high * 400 == pytest.approx(stats.binom.ppf(0.975, 400, 0.75), abs=1)


def test_without_examples_that_differ_it_is_the_t_interval_over_seeds():
    # Every example has each accuracy equally often: what is left is the spread of the seeds.
    rng = np.random.default_rng(0)
    correct = np.stack([rng.permutation(2000) < k for k in (1000, 1100, 1300)])
    found, t = bootstrap_score(correct, seed=0), t_score(correct.mean(1))
    assert (found.low, found.high) == pytest.approx((t.low, t.high), rel=0.02)


@given(pairs)
@settings(max_examples=50)
def test_analysis_of_variance_equals_the_textbook(pair):
    x = pair[0].astype(np.int8) - pair[1].astype(np.int8)
    seeds, examples = x.shape
    between, rest = mean_squares(x)
    assert between == pytest.approx(x.mean(0).var(ddof=1) if examples > 1 else 0, abs=1e-12)
    if min(x.shape) > 1:
        left = x - x.mean(0) - x.mean(1, keepdims=True) + x.mean()
        assert rest == pytest.approx((left**2).sum() / ((seeds - 1) * (examples - 1) * seeds), abs=1e-12)
    assert 0 <= shrink(between, rest) <= 1


@given(pairs)
@settings(max_examples=40)
def test_interval_p_value_and_direction_agree(pair):
    a, b = pair
    found, mirrored = bootstrap_difference(a, b, seed=3), bootstrap_difference(b, a, seed=3)
    assert found.seeds == len(a)
    assert -1 <= found.low <= found.high <= 1
    assert found.mean == -mirrored.mean == pytest.approx(a.mean() - b.mean(), abs=1e-12)
    if found.low > 0 or found.high < 0:
        assert found.p <= 0.051
    elif found.low < 0 < found.high:
        assert found.p >= 0.049
    assert bootstrap_difference(a, a, seed=3).p == 1
    assert bootstrap_difference(a, b, seed=3) == found


@pytest.mark.parametrize(
    ("seeds", "spread"),
    [
        (3, {"seed_sd": 0.5, "example_sd": 0.7, "rest_sd": 0.5}),  # where resampled seeds cover 3 in 4
        (3, {"seed_sd": 0.0, "example_sd": 0.7, "rest_sd": 0.05}),  # where a t interval over seeds covers 1 in 3
        (5, {"seed_sd": 0.1, "example_sd": 0.5, "rest_sd": 0.7}),
    ],
)
def test_intervals_cover_what_they_say(seeds, spread):
    rng = np.random.default_rng(11)
    runs = 300
    covered = 0
    for run in range(runs):
        a, b = simulated(rng, seeds, 200, **spread)
        found = bootstrap_difference(a, b, seed=run, draws=1000)
        covered += found.low <= 0 <= found.high
    assert covered / runs > 0.92


def test_t_interval_is_that_of_scipy():
    a, b = np.array([0.1, 0.4, 0.35, 0.2]), np.array([0.05, 0.3, 0.4, 0.1])
    expected = stats.ttest_rel(a, b)
    found = t_difference(a, b)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p == pytest.approx(expected.pvalue)
    assert t_score(a, level=0.5).high == pytest.approx(stats.t.ppf(0.75, 3, a.mean(), stats.sem(a)))


def test_t_of_numbers_without_spread():
    assert t_score([2.0, 2.0]).p == 0
    found = t_difference([0.5, 0.7], [0.5, 0.7])
    assert (found.low, found.high, found.p) == (0, 0, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_score(np.zeros((0, 5)), seed=0), "none of them empty"),
        (lambda: bootstrap_score(np.zeros((3, 0)), seed=0), "none of them empty"),
        (lambda: bootstrap_score(np.zeros(5), seed=0), "2 axes"),
        (lambda: bootstrap_score(np.full((1, 2), 0.5), seed=0), "0 and 1 only, got"),
        (lambda: bootstrap_difference(np.zeros((2, 5)), np.zeros((3, 5)), seed=0), r"one shape, got \(2, 5\) and"),
        (lambda: bootstrap_score(np.zeros((1, 2)), seed=0, level=1), "level must lie between 0 and 1"),
        (lambda: bootstrap_score(np.zeros((1, 2)), seed=0, draws=0), "draws must be at least 1"),
        (lambda: t_score([1.0]), r"two finite values or more, got \[1.0\]"),
        (lambda: t_score([1.0, float("inf")]), "two finite values"),
        (lambda: t_difference([1.0, 2.0], [1.0]), "a and b must have one shape"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
