"""Forgetting quality beside a plain search over all rules, and on sides of which the answer is known."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import ks_2samp

from bench.metrics.forgetting_quality import CAP, DELTA, REACH, challenge, epsilons, log10_ks_p


def sides(gap=0.0, models=12, examples=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(models, examples)) + gap, rng.normal(size=(models, examples))


def privacy_loss(positives, negatives, called):
    """Epsilon of one rule, `called` telling which number it takes for a positive; None where too few models tell."""
    missed, false = np.mean(~called(positives)), np.mean(called(negatives))
    if missed == false == 0:
        return math.inf
    if missed == 0 or false == 0:
        return None
    return max(0.0, math.log(max((1 - DELTA - false) / missed, (1 - DELTA - missed) / false)))


def plain(a, b):
    """The largest epsilon over thresholds and intervals between all neighbouring numbers, one rule at a time."""
    high, low = (a, b) if np.median(a) >= np.median(b) else (b, a)
    values = np.unique(np.concatenate([a, b]))
    cuts = np.concatenate([[values[0] - 9], (values[1:] + values[:-1]) / 2, [values[-1] + 9]])
    found = [privacy_loss(high, low, lambda x, t=t: x >= t) for t in cuts]
    narrow, wide = (low, high) if np.ptp(high) >= np.ptp(low) else (high, low)
    for left, right in itertools.combinations(cuts, 2):
        # An interval counts where its ends can lie within reach without changing which numbers it holds.
        below, above = values[values < left].max(initial=-np.inf), values[values > left].min()
        before, after = values[values < right].max(), values[values > right].min(initial=np.inf)
        ends = max(before, narrow.max() - REACH), min(after, narrow.max() + REACH)
        if ends[0] > ends[1]:
            continue
        starts = ends[0] - np.ptp(narrow) - REACH, ends[1] - np.ptp(narrow) + REACH
        if above >= starts[0] and below < starts[1]:
            found.append(privacy_loss(narrow, wide, lambda x, p=left, q=right: (x >= p) & (x <= q)))
    return min(CAP, max([e for e in found if e is not None], default=0.0))


@pytest.mark.parametrize("gap", [0.0, 0.7, 2.0])
def test_epsilons_are_those_of_a_plain_search(gap):
    unlearned, retrained = sides(gap)
    expected = [plain(a, b) for a, b in zip(unlearned.T, retrained.T, strict=True)]
    np.testing.assert_allclose(epsilons(unlearned, retrained), expected, rtol=1e-9)


def test_what_does_not_overlap_is_told_apart_without_error():
    unlearned, retrained = sides(gap=50.0)
    assert (epsilons(unlearned, retrained) == CAP).all()
    assert challenge(unlearned, retrained) == 0
    assert (epsilons(np.zeros((5, 3)), retrained[:, :3]) == CAP).all()  # a peak in the midst of the others


def test_a_side_held_against_itself_gives_nothing_away():
    unlearned, _ = sides()
    assert (epsilons(unlearned, unlearned) < 1).all()
    assert challenge(unlearned, unlearned) > 0.5


def test_the_order_of_models_and_the_names_of_the_sides_do_not_count():
    unlearned, retrained = sides(gap=1.0)
    expected = epsilons(unlearned, retrained)
    np.testing.assert_array_equal(epsilons(unlearned[::-1], np.roll(retrained, 3, axis=0)), expected)
    np.testing.assert_allclose(epsilons(retrained, unlearned), expected, rtol=1e-12)


def test_the_better_forgotten_the_more_points():
    scores = [challenge(*sides(gap, models=64)) for gap in (3.0, 1.0, 0.0)]
    assert scores == sorted(scores)
    assert scores[0] < scores[-1]


def test_masks_leave_models_out_one_example_at_a_time():
    unlearned, retrained = sides(gap=1.0)
    mask = np.ones_like(unlearned, dtype=bool)
    mask[::2, 0] = False
    spoilt = np.where(mask, unlearned, np.nan)
    found = epsilons(spoilt, retrained, unlearned_mask=mask)
    assert found[0] == epsilons(unlearned[1::2, :1], retrained[:, :1])[0]
    np.testing.assert_array_equal(found[1:], epsilons(unlearned, retrained)[1:])


def test_ks_is_scipys_and_falls_with_the_number_of_examples():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=300), rng.normal(size=300) + 0.5
    assert log10_ks_p(x, y) == pytest.approx(math.log10(ks_2samp(x, y).pvalue))
    assert log10_ks_p(x, x) == 0
    assert log10_ks_p(x, y) < log10_ks_p(x[:50], y[:50])


def test_bad_input_is_told():
    unlearned, retrained = sides()
    with pytest.raises(ValueError, match="has 2 models on one side"):
        challenge(unlearned[:2], retrained)
    with pytest.raises(ValueError, match="40 and 39 examples"):
        epsilons(unlearned, retrained[:, :39])
    with pytest.raises(ValueError, match="retrained holds 1 numbers that are NaN"):
        epsilons(unlearned, np.where(np.arange(480).reshape(12, 40) == 7, np.nan, retrained))
    with pytest.raises(ValueError, match=r"unlearned must be \[models, examples\]"):
        challenge(unlearned[0], retrained)
