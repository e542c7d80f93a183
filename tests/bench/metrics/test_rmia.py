"""RMIA beside its formula, pair by pair."""

import numpy as np
import pytest

from bench.metrics import rmia
from bench.metrics.attack_intervals import attack_intervals
from bench.metrics.ranks import auc


def world(models=6, examples=300, population=120, gap=0.0, seed=0):
    """Probabilities under `models` networks, of examples that each saw half of, and of others that none saw."""
    rng = np.random.default_rng(seed)
    seen = rng.permuted(np.repeat(np.arange(models)[:, None] < models // 2, examples, 1), axis=0)
    phi = 2 * rng.normal(size=examples) + 0.7 * rng.normal(size=(models, examples)) + gap * seen
    z = 2 * rng.normal(size=population) + 0.7 * rng.normal(size=(models, population))
    return 1 / (1 + np.exp(-phi)), seen, 1 / (1 + np.exp(-z))


def attacked(p, seen, z, offset, gamma=1.0):
    """Scores of model 0 by the others."""
    return rmia.score(p[0], p[1:], seen[1:], z[0], z[1:], offset=offset, gamma=gamma)


def pair_by_pair(p, references, seen, z, z_references, a, gamma):
    def general(column, unseen):
        return ((1 + a) * np.mean(column[unseen]) + 1 - a) / 2

    half = len(references) // 2 if len(references) > 3 else len(references)
    larger = np.sort(z_references, axis=0)[len(references) - half :]
    bars = [z[j] / general(larger[:, j], slice(None)) for j in range(len(z))]
    ratios = [p[i] / general(references[:, i], ~seen[:, i]) for i in range(len(p))]
    return np.array([np.mean([ratio > gamma * bar for bar in bars]) for ratio in ratios])


@pytest.mark.parametrize("offset", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("gamma", "models"), [(1.0, 6), (2.0, 6), (1.0, 9), (1.0, 3)])
def test_score_is_the_formula(offset, gamma, models):
    p, seen, z = world(models=models, gap=1.0)
    seen[1:, seen[1:].all(0)] = False
    seen[1:, 0] = np.arange(models - 1) > 0  # one reference left for this one
    expected = pair_by_pair(p[0], p[1:], seen[1:], z[0], z[1:], offset, gamma)
    assert np.array_equal(attacked(p, seen, z, offset, gamma), expected)


def test_equal_ratios_do_not_count():
    same = rmia.score([0.5], [[0.5]], [[False]], [0.5, 0.5, 0.25], [[0.5, 0.5, 0.5]], offset=1.0)
    assert same == pytest.approx([1 / 3])


def test_probabilities_of_zero_are_in_order():
    found = rmia.score([0.0, 0.1], [[0.0, 0.0]], [[False, False]], [0.0], [[0.0]], offset=1.0)
    assert np.array_equal(found, [0.0, 1.0])


def test_memorised_examples_are_found_and_unseen_ones_cannot_be_told_apart():
    p, seen, z = world(models=10, gap=4.0)
    offset = rmia.choose_offset(p[1:], seen[1:], z[1:])
    assert auc(attacked(p, seen, z, offset), seen[0]) > 0.9
    never, _, _ = world(models=10, gap=0.0)
    found = attack_intervals(attacked(never, seen, z, offset), np.arange(300) < 150, seed=0).auc
    assert found.low < 0.5 < found.high


def test_the_offset_is_the_best_on_the_paired_reference():
    p, seen, z = world(gap=2.0)
    chosen = rmia.choose_offset(p, seen, z, paired=2)
    rest = [0, 1, 3, 4, 5]
    reached = {a: auc(rmia.score(p[2], p[rest], seen[rest], z[2], z[rest], offset=a), seen[2]) for a in rmia.OFFSETS}
    assert reached[chosen] == max(reached.values())
    assert chosen == min(a for a in reached if reached[a] == reached[chosen])


def test_order_of_references_and_population_does_not_matter():
    p, seen, z = world(gap=1.0)
    rng = np.random.default_rng(1)
    rows, columns = 1 + rng.permutation(5), rng.permutation(120)
    moved = rmia.score(p[0], p[rows], seen[rows], z[0][columns], z[rows][:, columns], offset=0.5)
    np.testing.assert_allclose(moved, attacked(p, seen, z, 0.5), atol=1 / 120 + 1e-12)  # a mean rounds by its order
    assert np.mean(moved != attacked(p, seen, z, 0.5)) < 0.02


def test_bad_input_is_told():
    p, seen, z = world()
    with pytest.raises(ValueError, match=r"all 5 references saw example 0 \(300 such examples\)"):
        attacked(p, np.ones_like(seen), z, 0.5)
    with pytest.raises(ValueError, match=r"p must hold probabilities, got 0.0\d+ to 3"):
        rmia.score(np.where(np.arange(300) == 0, 3, p[0]), p[1:], seen[1:], z[0], z[1:], offset=0.5)
    with pytest.raises(ValueError, match="references must hold probabilities"):
        rmia.score(p[0], np.full_like(p[1:], np.nan), seen[1:], z[0], z[1:], offset=0.5)
    with pytest.raises(ValueError, match="p holds 300 NaN"):
        rmia.score(np.full(300, np.nan), p[1:], seen[1:], z[0], z[1:], offset=0.5)
    with pytest.raises(ValueError, match=r"offset must lie in \[0, 1\], got 1.5"):
        attacked(p, seen, z, 1.5)
    with pytest.raises(ValueError, match=r"got shapes \(300,\), \(5, 300\), \(120,\) and \(6, 120\)"):
        rmia.score(p[0], p[1:], seen[1:], z[0], z, offset=0.5)
    with pytest.raises(ValueError, match="references and seen must have one shape"):
        rmia.score(p[0], p[1:], seen, z[0], z[1:], offset=0.5)
    with pytest.raises(ValueError, match="two references are needed"):
        rmia.choose_offset(p[:1], seen[:1], z[:1])
