"""LiRA beside the textbook, and on numbers whose membership is known."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from bench.metrics import lira
from bench.metrics.attack_intervals import attack_intervals
from bench.metrics.ranks import auc


def shadows(models=32, examples=200, gap=0.0, seed=0, spread=1.0):
    """Log odds [m, n] of models that saw half of the examples each, higher by `gap` where seen; and who saw what."""
    rng = np.random.default_rng(seed)
    halves = np.arange(models)[:, None] < models // 2
    seen = rng.permuted(np.repeat(halves, examples, 1), axis=0)
    phi = 3 * rng.normal(size=examples) + spread * rng.normal(size=(models, examples)) + gap * seen
    return phi, seen


def without(phi, seen, t):
    return phi[t], np.delete(phi, t, 0), np.delete(seen, t, 0)


def textbook(phi, others, seen, *, pooled):
    """Log-likelihood ratio [n], one example and one side at a time."""
    laws = {}
    for side in (True, False):
        numbers = [others[seen[:, i] == side, i] for i in range(len(phi))]
        squares = [((x - x.mean()) ** 2).sum() for x in numbers]
        free = [len(x) - pooled for x in numbers]
        width = [math.sqrt(sum(squares) / sum(free)) if pooled else math.sqrt(s / f) for s, f in zip(squares, free)]  # noqa: B905
        laws[side] = [(float(np.median(x)), w) for x, w in zip(numbers, width, strict=True)]
    density = {side: [NormalDist(*law).pdf(x) for law, x in zip(laws[side], phi, strict=True)] for side in laws}
    return np.log(density[True]) - np.log(density[False])


@pytest.mark.parametrize(("models", "pooled"), [(9, True), (32, True), (65, False)])
def test_score_is_the_textbook_likelihood_ratio(models, pooled):
    target, others, seen = without(*shadows(models, examples=60, gap=1.0), 3)
    expected = textbook(target, others, seen, pooled=pooled)
    np.testing.assert_allclose(lira.score(target, others, seen), expected, rtol=1e-9, atol=1e-9)


def test_sides_may_be_ragged():
    target, others, seen = without(*shadows(8, examples=40), 0)
    seen[:, 0] = [True, *[False] * 6]
    expected = textbook(target, others, seen, pooled=True)
    np.testing.assert_allclose(lira.score(target, others, seen), expected, rtol=1e-9, atol=1e-9)


def test_offline_ranks_by_the_distribution_function_of_those_that_did_not_see():
    target, others, seen = without(*shadows(12, examples=50, gap=1.0), 0)
    score = lira.offline_score(target, others, seen)
    numbers = [others[~seen[:, i], i] for i in range(50)]
    width = math.sqrt(sum(((x - x.mean()) ** 2).sum() for x in numbers) / sum(len(x) - 1 for x in numbers))
    expected = [NormalDist(np.median(x), width).cdf(t) for x, t in zip(numbers, target, strict=True)]
    np.testing.assert_allclose([NormalDist().cdf(s) for s in score], expected, rtol=1e-9)


def test_offline_needs_nobody_that_saw_the_examples():
    phi, seen = shadows(6, examples=20)
    assert np.isfinite(lira.offline_score(phi[0], phi[1:], np.zeros_like(seen[1:]))).all()


@pytest.mark.parametrize("models", [8, 33, 66])
def test_every_target_is_attacked_by_all_others(models):
    phi, seen = shadows(models, examples=80, gap=0.7)
    phi[:, :5] = phi[:, :5].round()  # ties around the median that a left-out model moves
    expected = [auc(lira.score(*without(phi, seen, t)), seen[t]) for t in range(models)]
    np.testing.assert_allclose(lira.over_targets(phi, seen), expected, atol=1e-12)


def test_memorised_examples_are_found_and_unseen_ones_cannot_be_told_apart():
    planted, seen = shadows(32, examples=300, gap=4.0)
    assert lira.over_targets(planted, seen).min() > 0.95
    _, others, seen = without(*shadows(32, examples=600, gap=2.0), 0)
    rng = np.random.default_rng(5)
    centre = np.array([np.median(others[~seen[:, i], i]) for i in range(600)])
    unseen = centre + rng.normal(size=600)  # a model that saw none of them
    found = attack_intervals(lira.score(unseen, others, seen), np.arange(600) < 300, seed=0).auc
    assert found.low < 0.5 < found.high


def test_an_attack_an_example_finds_what_no_threshold_does():
    """Some examples are hard, seen or not: the loss alone sees that, and not who was there."""
    phi, seen = shadows(32, examples=400, gap=1.5, spread=0.5)
    assert lira.over_targets(phi, seen).mean() > 0.9
    assert auc(phi[0], seen[0]) < 0.75


def test_forgetting_that_overshoots_is_found_as_well():
    phi, seen = shadows(32, examples=300, gap=-4.0)  # models that forgot are surer that they never saw it
    assert auc(phi[0], seen[0]) < 0.4
    assert lira.over_targets(phi, seen).min() > 0.95


def test_order_of_models_and_examples_does_not_matter():
    target, others, seen = without(*shadows(16, examples=50, gap=1.0), 0)
    rng = np.random.default_rng(1)
    rows, columns = rng.permutation(15), rng.permutation(50)
    moved = lira.score(target[columns], others[rows][:, columns], seen[rows][:, columns])
    np.testing.assert_allclose(moved, lira.score(target, others, seen)[columns], rtol=1e-12)


def test_scale_and_shift_of_the_log_odds_do_not_matter():
    target, others, seen = without(*shadows(16, examples=50, gap=1.0), 0)
    moved = lira.score(8 * target + 5, 8 * others + 5, seen)
    np.testing.assert_allclose(moved, lira.score(target, others, seen), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("models", [7, 66])
def test_models_that_all_say_the_same_leave_nothing_to_tell(models):
    _, seen = shadows(models, examples=20)
    phi = np.broadcast_to(np.linspace(-100.1, 100.1, 20), seen.shape)
    assert np.array_equal(lira.score(phi[0], phi, seen), np.zeros(20))
    assert np.array_equal(lira.over_targets(phi, seen), np.full(models, 0.5))


def test_posterior_is_the_share_of_the_members_density():
    np.testing.assert_allclose(lira.posterior(np.log([1.0, 3.0, 1 / 4])), [0.5, 0.75, 0.2])
    assert np.array_equal(lira.posterior([-1e9, 1e9]), [0.0, 1.0])


def test_log_odds_of_a_softmax():
    z, y = np.random.default_rng(0).normal(size=(30, 5)) * 3, np.arange(30) % 5
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    own = p[np.arange(30), y]
    np.testing.assert_allclose(lira.log_odds(z, y), np.log(own / (1 - own)), rtol=1e-9)
    np.testing.assert_allclose(lira.log_odds(z + 700, y), lira.log_odds(z, y), rtol=1e-9)


def test_log_odds_are_finite_and_keep_apart_what_a_mask_hides():
    z = np.array([[-1e4, 1.0, 0.0], [-1e4, 2.0, 0.0], [1e4, 0.0, 0.0]])
    first, second, sure = lira.log_odds(z, np.zeros(3, int))
    assert first - second == pytest.approx(math.log(math.e**2 + 1) - math.log(math.e + 1), abs=1e-9)
    assert sure == pytest.approx(1e4 - math.log(2))
    impossible = np.array([[-np.inf, 1.0], [1.0, -np.inf], [-np.inf, -np.inf]])
    assert lira.log_odds(impossible, np.zeros(3, int)) == pytest.approx([-lira.SURE, lira.SURE, -lira.SURE])


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([[1.0, np.nan]], [0], r"NaN or \+inf in 1 of 1 rows"),
        ([[1.0, np.inf]], [0], r"NaN or \+inf"),
        ([[1.0]], [0], "C >= 2"),
        ([[1.0, 2.0]], [0, 1], r"\(1, 2\) and \(2,\)"),
        ([[1.0, 2.0]], [2], "from 0 to 1"),
        ([[1.0, 2.0]], [0.5], "float64"),
    ],
)
def test_log_odds_refuse(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        lira.log_odds(np.array(logits), np.array(labels))


def test_bad_input_is_told():
    target, others, seen = without(*shadows(8, examples=10), 0)
    with pytest.raises(ValueError, match=r"shadows and seen must have one shape, got \(7, 10\) and \(6, 10\)"):
        lira.score(target, others, seen[1:])
    with pytest.raises(ValueError, match=r"phi must be 10 finite numbers"):
        lira.score(target[:9], others, seen)
    with pytest.raises(ValueError, match=r"phi holds 1 NaN"):
        lira.score(np.where(np.arange(10) == 3, np.nan, target), others, seen)
    with pytest.raises(ValueError, match=r"1 of the shadows' 70 numbers are NaN or infinite"):
        lira.score(target, np.where(np.arange(70).reshape(7, 10) == 3, np.inf, others), seen)
    none = seen.copy()
    none[:, 4] = False
    with pytest.raises(ValueError, match=r"0 models saw example 4; 1 are needed \(1 examples have too few\)"):
        lira.score(target, others, none)
    with pytest.raises(ValueError, match=r"0 models did not see example 0"):
        lira.offline_score(target, others, np.ones_like(seen))
    with pytest.raises(ValueError, match=r"no example has two models on one side"):
        lira.score(target, others[:2], np.array([[True] * 10, [False] * 10]))
    with pytest.raises(ValueError, match=r"model 1 saw 10 of 10 examples"):
        lira.over_targets(others, np.where(np.arange(7)[:, None] == 1, True, seen))
