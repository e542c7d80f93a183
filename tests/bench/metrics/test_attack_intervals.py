"""Intervals of an attack's success, beside resamples that are judged one by one."""

import numpy as np
import pytest

from bench.metrics.attack_intervals import _resampled, attack_intervals
from bench.metrics.ranks import auc, tpr_at_fpr


def attack(members=80, others=120, gap=1.0, seed=0):
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.normal(gap, size=members), rng.normal(size=others)])
    return scores, np.arange(members + others) < members


def one_by_one(scores, member, fpr, draws):
    """Percentile bounds [2, 2] of AUC and TPR with NumPy's generator: the same law by another hand."""
    rng, found = np.random.default_rng(1), []
    for _ in range(draws):
        s = np.concatenate([rng.choice(scores[member], member.sum()), rng.choice(scores[~member], (~member).sum())])
        m = np.arange(s.size) < member.sum()
        found.append([auc(s, m), tpr_at_fpr(s, m, fpr)])
    return np.quantile(found, [0.025, 0.975], axis=0)


@pytest.mark.parametrize("decimals", [8, 0])  # distinct scores, and long runs of equal ones
@pytest.mark.parametrize("fpr", [0.01, 0.1])
def test_intervals_are_those_of_resamples_one_by_one(decimals, fpr):
    scores, member = attack()
    scores = scores.round(decimals)
    found = attack_intervals(scores, member, seed=0, fpr=fpr, draws=4000)
    low, high = one_by_one(scores, member, fpr, draws=2000)
    assert [found.auc.low, found.auc.high] == pytest.approx([low[0], high[0]], abs=0.015)
    assert [found.tpr.low, found.tpr.high] == pytest.approx([low[1], high[1]], abs=0.05)


def test_values_are_those_of_the_sample():
    scores, member = attack()
    found = attack_intervals(scores, member, seed=0, fpr=0.05, draws=10)
    assert found.auc.value == auc(scores, member)
    assert found.tpr.value == tpr_at_fpr(scores, member, 0.05)


@pytest.mark.parametrize("others", [1, 7, 100])
@pytest.mark.parametrize("fpr", [0.0, 0.01, 0.29, 1.0])
def test_a_resample_of_one_value_a_side_is_the_sample(others, fpr):
    """Where all members and all others score alike, every resample is the sample: nothing is left to chance."""
    for high, low in [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)]:
        scores, member = np.repeat([high, low], [5, others]), np.arange(5 + others) < 5
        found = attack_intervals(scores, member, seed=0, fpr=fpr, draws=20)
        for part, value in [(found.auc, auc(scores, member)), (found.tpr, tpr_at_fpr(scores, member, fpr))]:
            assert part.low == part.high == part.value == value


def test_a_pass_counts_what_the_metrics_count():
    """The kernel's draws, repeated as examples, give the metrics' own numbers."""
    from bench.metrics.draws import below, generator

    scores, member = attack(members=12, others=20)
    scores = scores.round(1)
    order = np.argsort(-scores, kind="stable")
    s, m = scores[order], member[order]
    found = _resampled(m.view(np.uint8), np.append(s[1:] != s[:-1], True), 2, 3, 7)
    state = generator(7)
    inside, outside = np.flatnonzero(m), np.flatnonzero(~m)[::-1]
    for d in range(3):
        drawn = [inside[int(below(state, 12))] for _ in range(12)] + [outside[int(below(state, 20))] for _ in range(20)]
        assert found[0, d] == auc(s[drawn], m[drawn])
        assert found[1, d] == tpr_at_fpr(s[drawn], m[drawn], 0.1)


def test_disjoint_unseen_sets_hold_one_half():
    covered = [
        found.low <= 0.5 <= found.high
        for seed in range(40)
        for found in [attack_intervals(*attack(gap=0.0, seed=seed), seed=seed, draws=400).auc]
    ]
    assert sum(covered) >= 34  # of 38 expected


def test_order_does_not_matter_and_draws_come_from_the_seed():
    scores, member = attack()
    moved = np.random.default_rng(3).permutation(scores.size)
    assert attack_intervals(scores, member, seed=1, draws=200) == attack_intervals(scores, member, seed=1, draws=200)
    assert attack_intervals(scores, member, seed=1, draws=200) != attack_intervals(scores, member, seed=2, draws=200)
    assert attack_intervals(scores[moved], member[moved], seed=1, draws=200) == attack_intervals(
        scores, member, seed=1, draws=200
    )


def test_bad_input_is_told():
    scores, member = attack()
    with pytest.raises(ValueError, match="scores holds 1 NaN"):
        attack_intervals(np.where(np.arange(200) == 1, np.nan, scores), member, seed=0)
    with pytest.raises(ValueError, match="scores and member must have one shape"):
        attack_intervals(scores, member[1:], seed=0)
    with pytest.raises(ValueError, match="must hold both classes, got 200 positives of 200"):
        attack_intervals(scores, np.ones(200), seed=0)
    with pytest.raises(ValueError, match=r"fpr must lie in \[0, 1\], got 2"):
        attack_intervals(scores, member, seed=0, fpr=2)
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        attack_intervals(scores, member, seed=0, level=1.0)
