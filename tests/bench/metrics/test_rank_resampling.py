import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.metrics.rank_resampling import resampled_ranks

shapes = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 20))


def textbook(x, rng, draws, factor):
    """Ranks of rows [M, S, N] as the docstring says it, one resample after the other."""
    rows, seeds, examples = x.shape
    ranks = np.empty((draws, rows))
    for d in range(draws):
        score = x.mean((1, 2)) + factor * (x[:, :, rng.integers(0, examples, examples)].mean((1, 2)) - x.mean((1, 2)))
        if seeds > 1:
            weights = rng.standard_normal(seeds) / np.sqrt(seeds * (seeds - 1))
            weights /= np.sqrt(rng.chisquare(seeds - 1) / (seeds - 1))
            score = score + (x.mean(2) - x.mean((1, 2))[:, None]) @ weights
        ranks[d] = [1 + (score > s).sum() for s in score]
    return ranks


@pytest.mark.parametrize("seeds", [1, 3])
def test_equals_the_textbook_within_its_own_noise(seeds):
    rng = np.random.default_rng(1)
    hard = rng.normal(0, 1, 200)
    # Nothing but examples and seeds, so that nothing of the examples' spread is the rest's.
    skill = np.array([1.0, 0.97, 0.8, 0.75])[:, None] + rng.normal(0, 0.1, (4, seeds))
    x = hard + skill[:, :, None] > 0
    if seeds > 1:
        centred = x - x.mean(1, keepdims=True) - x.mean(2, keepdims=True) + x.mean((1, 2), keepdims=True)
        rest = (centred**2).sum((1, 2)) / ((seeds - 1) * 199) / seeds
        factor = np.sqrt(1 - rest.sum() / x.mean(1).var(1, ddof=1).sum())
    else:
        factor = 1.0
    slow = textbook(x, rng, 2000, factor)
    fast = resampled_ranks(x, seed=0, draws=4000)
    first = (slow == 1) / (slow == 1).sum(1, keepdims=True)
    assert fast.first == pytest.approx(first.mean(0), abs=0.04)
    assert fast.low.tolist() == np.quantile(slow, 0.025, axis=0, method="inverted_cdf").tolist()
    assert fast.high.tolist() == np.quantile(slow, 0.975, axis=0, method="inverted_cdf").tolist()


@given(shapes.flatmap(lambda s: hnp.arrays(bool, s)))
@settings(max_examples=30)
def test_shares_add_up_and_do_not_depend_on_the_order_of_rows(x):
    found = resampled_ranks(x, seed=5, draws=200)
    assert found.first.sum() == pytest.approx(1)
    assert (found.low >= 1).all()
    assert (found.low <= found.high).all()
    assert (found.high <= len(x)).all()
    turned = resampled_ranks(x[::-1], seed=5, draws=200)
    assert turned.first[::-1] == pytest.approx(found.first)


def test_far_apart_rows_are_sure_of_their_ranks_and_equal_rows_share():
    x = np.zeros((3, 3, 400), bool)
    x[0, :, :300], x[1, :, :200], x[2, :, :200] = True, True, True
    found = resampled_ranks(x, seed=0)
    assert found.first.tolist() == [1, 0, 0]
    assert found.low.tolist() == [1, 2, 2]
    assert found.high.tolist() == [1, 2, 2]
    both = resampled_ranks(x[1:], seed=0)
    assert both.first == pytest.approx([0.5, 0.5])


def test_numbers_without_examples_are_resampled_over_seeds():
    scores = np.array([[-0.1, -0.3, -0.2], [-0.2, -0.1, -0.3], [-5.0, -5.1, -4.9]])
    found = resampled_ranks(scores, seed=0, draws=4000)
    assert found.first == pytest.approx([0.5, 0.5, 0], abs=0.05)
    assert (found.low.tolist(), found.high.tolist()) == ([1, 1, 3], [2, 2, 3])


@pytest.mark.parametrize(
    "scores",
    [np.zeros((0, 3)), np.zeros(3), np.zeros((2, 1)), np.array([[1.0, np.nan]]), np.zeros((2, 0))],
)
def test_nothing_to_resample_is_refused(scores):
    with pytest.raises(ValueError, match="are needed, got shape"):
        resampled_ranks(scores, seed=0)


def test_examples_that_are_not_right_or_wrong_are_refused():
    with pytest.raises(ValueError, match="scores must hold 0 and 1 only"):
        resampled_ranks(np.full((2, 2, 2), 0.5), seed=0)
