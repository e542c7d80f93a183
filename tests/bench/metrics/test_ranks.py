from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.metrics.ranks import auc, average_ranks, kendall_tau, tpr_at_fpr

few = st.integers(-3, 3).map(float)  # many ties
any_float = st.floats(allow_nan=False)
values = st.one_of(st.lists(few, min_size=1, max_size=70), st.lists(any_float, min_size=1, max_size=40))


@st.composite
def scored(draw):
    scores = draw(values.filter(lambda v: len(v) > 1))
    positive = draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)))
    positive[0], positive[1] = True, False
    return np.array(scores), np.array(positive)


@given(values)
@settings(max_examples=60)
def test_ranks_count_what_is_below_and_half_of_what_is_equal(v):
    v = np.array(v)
    expected = [(v < x).sum() + ((v == x).sum() + 1) / 2 for x in v]
    assert average_ranks(v).tolist() == expected


def test_ranks_of_many_values_that_need_every_pass():
    v = np.random.default_rng(0).standard_normal(5000) * 10.0 ** np.random.default_rng(1).integers(-300, 300, 5000)
    assert np.array_equal(np.argsort(average_ranks(v)), np.argsort(v))


@given(scored())
@settings(max_examples=60)
def test_auc_equals_the_count_over_pairs(case):
    s, p = case
    wins = sum(Fraction(int(x > y)) + Fraction(int(x == y), 2) for x in s[p] for y in s[~p])
    assert auc(s, p) == pytest.approx(float(wins / (p.sum().item() * (~p).sum().item())), abs=1e-15)


@given(scored(), st.one_of(st.floats(0, 1), st.integers(0, 20).map(lambda k: k / 20)))
@settings(max_examples=80)
def test_tpr_equals_the_best_over_all_thresholds(case, fpr):
    s, p = case
    best = 0.0
    for t in s:
        if (s[~p] >= t).mean() <= fpr:
            best = max(best, (s[p] >= t).mean())
    assert tpr_at_fpr(s, p, fpr) == pytest.approx(best, abs=1e-15)


def test_tpr_at_no_and_at_every_false_positive():
    s, p = np.array([3.0, 2.0, 2.0, 1.0]), np.array([True, True, False, False])
    assert tpr_at_fpr(s, p, 0.0) == 0.5
    assert tpr_at_fpr(s, p, 0.5) == 1.0
    assert tpr_at_fpr(s, p, 1.0) == 1.0
    assert tpr_at_fpr(-s, p, 0.0) == 0.0


def test_a_rate_that_rounding_makes_slightly_too_small_or_large_still_counts():
    for n in range(1, 200):
        negatives, positives = np.arange(n, dtype=float), np.arange(n) + 0.5
        s, p = np.concatenate([negatives, positives]), np.repeat([False, True], n)
        for k in range(n + 1):
            assert tpr_at_fpr(s, p, k / n) == min(n, k + 1) / n


@given(st.lists(st.tuples(few, few), min_size=2, max_size=50))
@settings(max_examples=80)
def test_tau_equals_the_count_over_pairs(points):
    a, b = np.array(points).T
    if len(set(a)) == 1 or len(set(b)) == 1:
        with pytest.raises(ValueError, match="undefined"):
            kendall_tau(a, b)
        return
    signed = tied_a = tied_b = 0
    for i, j in combinations(range(len(a)), 2):
        signed += np.sign(a[i] - a[j]) * np.sign(b[i] - b[j])
        tied_a += a[i] == a[j]
        tied_b += b[i] == b[j]
    pairs = len(a) * (len(a) - 1) / 2
    assert kendall_tau(a, b) == pytest.approx(signed / np.sqrt((pairs - tied_a) * (pairs - tied_b)), abs=1e-12)


@pytest.mark.parametrize("n", [2, 15, 16, 17, 63, 64, 65, 1000])
def test_tau_over_several_merges(n):
    rng = np.random.default_rng(n)
    a, b = rng.standard_normal(n), rng.integers(0, n, n).astype(float)
    b[0], b[1] = 0, 1
    expected = sum(np.sum(np.sign(a[i + 1 :] - a[i]) * np.sign(b[i + 1 :] - b[i])) for i in range(n))
    ties = sum((b[i + 1 :] == b[i]).sum() for i in range(n))
    pairs = n * (n - 1) / 2
    assert kendall_tau(a, b) == pytest.approx(expected / np.sqrt(pairs * (pairs - ties)), abs=1e-12)
    assert kendall_tau(a, np.exp(a / 5)) == 1
    assert kendall_tau(a, -a) == -1


@pytest.mark.parametrize("metric", [auc, lambda s, p: tpr_at_fpr(s, p, 0.1)])
@pytest.mark.parametrize(
    ("scores", "positive", "message"),
    [
        ([], [], "scores must be one axis of at least one number"),
        ([1.0, 2.0], [True, True], "both classes, got 2 positives of 2"),
        ([1.0, 2.0], [False, False], "both classes, got 0 positives of 2"),
        ([1.0, 2.0], [True], "scores and positive must have one shape"),
        ([1.0, float("nan")], [True, False], "scores holds 1 NaN of 2"),
        ([1.0, 2.0], [0, 3], "positive must hold 0 and 1 only"),
        ([[1.0, 2.0]], [[0, 1]], r"got shape \(1, 2\)"),
    ],
)
def test_bad_scores_are_named(metric, scores, positive, message):
    with pytest.raises(ValueError, match=message):
        metric(scores, positive)


def test_other_bad_input_is_named():
    with pytest.raises(ValueError, match=r"fpr must lie in \[0, 1\], got 1.5"):
        tpr_at_fpr([1.0, 2.0], [True, False], 1.5)
    with pytest.raises(ValueError, match="a and b must have one shape"):
        kendall_tau([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="all 1 values of a are equal"):
        kendall_tau([1.0], [1.0])
    with pytest.raises(ValueError, match="values holds 1 NaN"):
        average_ranks([float("nan")])
