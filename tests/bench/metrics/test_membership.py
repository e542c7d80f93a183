"""Membership attacks on numbers whose membership is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.metrics.membership import best_threshold, efficacy, population_loss_attack, threshold_accuracy


def rng(seed=0):
    return np.random.default_rng(seed)


def test_two_unseen_sets_cannot_be_told_apart():
    n, m = 300, 500
    losses = rng().exponential(size=n + m)
    found = population_loss_attack(losses[:n], losses[n:], rng(1))
    error = np.sqrt((n + m + 1) / (12 * n * m))  # of the Mann-Whitney statistic, where nothing is to be found
    assert abs(found.auc - 0.5) < 3 * error
    assert abs(found.accuracy - 0.5) < 3 * 0.5 / np.sqrt(2 * n)
    assert found.tpr_at_1pct_fpr < 0.05


def test_memorised_examples_are_found():
    memorised, unseen = rng().exponential(0.01, size=200), rng(1).exponential(2.0, size=200)
    found = population_loss_attack(memorised, unseen, rng(2))
    assert found.auc > 0.95
    assert found.accuracy > 0.9
    assert found.tpr_at_1pct_fpr > 0.5


def test_overdone_forgetting_is_found_too():
    suspicious, unseen = rng().exponential(8.0, size=200) + 3, rng(1).exponential(1.0, size=200)
    found = population_loss_attack(suspicious, unseen, rng(2))
    assert found.auc < 0.1  # two-sided: as bad as 0.9
    assert found.accuracy > 0.9


def test_the_attack_is_free_of_scale():
    """A masked class has losses of ten thousand and a bit; the bit is what gives it away."""
    members, others = rng().normal(0.0, 1.0, 50), rng(1).normal(0.7, 1.0, 60)
    plain = population_loss_attack(members, others, rng(2))
    far = population_loss_attack(members * 4 + 4096, others * 4 + 4096, rng(2))
    assert far == plain


def test_draws_come_from_the_generator_alone():
    members, others = rng().normal(size=40), rng(1).normal(0.5, size=30)
    assert threshold_accuracy(members, others, rng(3)) == threshold_accuracy(members, others, rng(3))
    assert threshold_accuracy(members, others, rng(3)) != threshold_accuracy(members, others, rng(4))


def test_few_non_members_give_no_rate_at_one_percent():
    assert population_loss_attack(np.arange(5), np.arange(99), rng()).tpr_at_1pct_fpr is None
    assert population_loss_attack(np.arange(5), np.arange(100), rng()).tpr_at_1pct_fpr is not None


@pytest.mark.parametrize("members", [[1.0], []])
def test_too_few_examples_are_refused(members):
    with pytest.raises(ValueError, match=r"one number|two examples a side"):
        population_loss_attack(members, [1.0, 2.0], rng())


def textbook_threshold(scores, member):
    """The best balanced accuracy, threshold by threshold."""
    return max(((scores[member] >= t).mean() + (scores[~member] < t).mean()) / 2 for t in [*scores, scores.max() + 1])


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=25))
def test_threshold_equals_the_textbook(pairs):
    scores = np.array([score for score, _ in pairs], dtype=np.float64)
    member = np.array([inside for _, inside in pairs])
    if member.all() or not member.any():
        with pytest.raises(ValueError, match="both classes"):
            best_threshold(scores, member)
        return
    found = best_threshold(scores, member)
    assert found.balanced_accuracy == pytest.approx(textbook_threshold(scores, member))
    called = scores >= found.value
    reached = (called[member].mean() + (~called[~member]).mean()) / 2
    assert reached == pytest.approx(found.balanced_accuracy)


def test_efficacy_by_hand():
    # Members at 0.8 and above, others at 0.4 and below: the threshold is 0.6.
    assert efficacy([0.9, 0.7, 0.5, 0.1], [0.8, 0.9, 1.0], [0.1, 0.4, 0.3]) == 0.5


def test_infinite_losses_are_ranked():
    found = population_loss_attack([0.1, 0.2, 0.3], [np.inf, np.inf, 1.0], rng())
    assert found.auc == 1.0
