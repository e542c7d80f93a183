"""Forgetting quality: can what unlearned models say of an example be told from what retrained models say of it?

`challenge` is the measure of the NeurIPS 2023 unlearning challenge (Triantafillou et al. 2024, arXiv:2406.09073): for
each example the worst privacy loss epsilon that an attacker on many models of either kind finds. Read in the paper and
in the released code (google-deepmind/unlearning_evaluation). That code tries thresholds on a grid of 0.01; here all are
tried that part the numbers differently, in steps from one number to the next.

`log10_ks_p` is that of TOFU (Maini et al. 2024, arXiv:2401.06121): two models, and the distribution over examples.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from bench.metrics.checks import binary, numbers, same_shape
from bench.metrics.shadow_laws import middle

DELTA = 1e-5
CAP = 50.0
"""The epsilon of two sides that are told apart without error."""
PEAK = 0.01
"""A side whose range is less than this share of the other's counts as told apart."""
REACH = 2.0
"""How far, in units of the log odds, either end of an interval may lie from the narrower side's own ends."""
BIN = 0.5

Array = NDArray[np.float64]


def challenge(
    unlearned: ArrayLike,
    retrained: ArrayLike,
    *,
    unlearned_mask: ArrayLike | None = None,
    retrained_mask: ArrayLike | None = None,
) -> float:
    """Mean points F in [0, 1] over the examples; 1 where no example has an epsilon of 0.5.

    An epsilon in [k / 2, (k + 1) / 2) gives 2^-k points, and none from ceil(log(N - 1)) on, which N models a side
    cannot tell from infinity. With small N it is coarse: N = 32 or more, 512 in the challenge. Its final score is F
    times the quotients of accuracy, unlearned over retrained, on retained and on test rows.

    Args:
        unlearned: log odds of the true class (`lira.log_odds`) [a, n] of n examples under a models.
        retrained: the same [b, n] under models that never saw the examples.
        unlearned_mask: bool [a, n], which numbers count; all of them if left out. N is the smallest count.
        retrained_mask: bool [b, n].

    Raises:
        ValueError: other shapes, numbers that are not finite, or fewer than three that count for an example.
    """
    first, used = _side(unlearned, unlearned_mask, "unlearned")
    second, used_too = _side(retrained, retrained_mask, "retrained")
    models = int(min(used.sum(0).min(), used_too.sum(0).min()))
    if models < 3:
        raise ValueError(f"an example has {models} models on one side; points are given for three or more")
    found = _epsilons_of(first, used, second, used_too)
    bins = np.floor(found / BIN)
    return float(np.where(bins < math.ceil(math.log(models - 1)) / BIN, 0.5**bins, 0.0).mean())


def epsilons(
    unlearned: ArrayLike,
    retrained: ArrayLike,
    *,
    unlearned_mask: ArrayLike | None = None,
    retrained_mask: ArrayLike | None = None,
) -> Array:
    """The largest epsilon [n], from 0 to 50, over all rules that tell the two sides of an example apart.

    The rules are every threshold (the side of the larger median lies above it), and every interval whose ends lie
    within 2 of those of the narrower side, which it is to hold. A rule's epsilon is

        max(log((1 - 1e-5 - FPR) / FNR), log((1 - 1e-5 - FNR) / FPR)),

    at least 0; infinite where both rates are 0, and none where one of them is (too few models to say). Arguments and
    errors as `challenge`, for one number or more a side.
    """
    first, used = _side(unlearned, unlearned_mask, "unlearned")
    second, used_too = _side(retrained, retrained_mask, "retrained")
    return _epsilons_of(first, used, second, used_too)


def log10_ks_p(x: ArrayLike, y: ArrayLike) -> float:
    """log10 of the p-value of the two-sample Kolmogorov-Smirnov test; 0 where nothing tells x [n] from y [m].

    Exact for up to 10,000 numbers, as SciPy's default in TOFU's code. It falls with the number of examples: never
    compare it across forget sets of different sizes. A p-value that rounds to 0 is told as -307.7, the smallest number.

    Raises:
        ValueError: no numbers, or NaN.
    """
    from scipy.stats import ks_2samp

    a, b = numbers(x, "x"), numbers(y, "y")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where its exact sum fails SciPy takes the asymptotic law
        p = float(ks_2samp(a, b).pvalue)
    return min(0.0, math.log10(max(p, float(np.finfo(np.float64).tiny))))


def _side(values: ArrayLike, mask: ArrayLike | None, name: str) -> tuple[Array, NDArray[np.bool_]]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{name} must be [models, examples], neither of them empty, got shape {array.shape}")
    if mask is None:
        used = np.ones(array.shape, np.bool_)
    else:
        used = binary(mask, f"{name}_mask", ndim=2).view(np.bool_)
        same_shape(array, used, f"{name} and its mask")
    wrong = used & ~np.isfinite(array)
    if wrong.any():
        raise ValueError(f"{name} holds {np.count_nonzero(wrong)} numbers that are NaN or infinite")
    if not used.any(0).all():
        raise ValueError(f"no model of {name} counts for example {np.flatnonzero(~used.any(0))[0]}")
    return array, used


def _epsilons_of(first: Array, used: NDArray[np.bool_], second: Array, used_too: NDArray[np.bool_]) -> Array:
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"unlearned and retrained hold {first.shape[1]} and {second.shape[1]} examples")
    a, in_a, b, in_b = (np.ascontiguousarray(side.T) for side in (first, used, second, used_too))
    return np.asarray(_all_epsilons(a, in_a, b, in_b, REACH))


@njit(cache=True)
def _all_epsilons(first, used, second, used_too, reach):  # type: ignore[no-untyped-def]
    """Epsilon [n] of sides [n, a] and [n, b]."""
    found = np.empty(len(first))
    for i in range(len(first)):
        a, b = np.sort(first[i][used[i]]), np.sort(second[i][used_too[i]])
        if middle(b) > middle(a):
            a, b = b, a  # a is the side of the larger median
        wide_a, wide_b = a[-1] - a[0], b[-1] - b[0]
        if min(wide_a, wide_b) < PEAK * max(wide_a, wide_b):
            found[i] = CAP
            continue
        odds = _best_threshold(a, b)
        if odds < np.inf:
            narrow, wide = (b, a) if wide_a >= wide_b else (a, b)
            odds = max(odds, _best_interval(narrow, wide, reach))
        found[i] = min(CAP, math.log(odds)) if odds < np.inf else CAP
    return found


@njit(cache=True, inline="always")
def _odds(missed, false, positives, negatives):  # type: ignore[no-untyped-def]
    """exp(epsilon), at least 1, of a rule that misses so many positives and calls so many negatives positive."""
    if missed == 0 and false == 0:
        return np.inf
    if missed == 0 or false == 0:
        return 1.0
    fnr, fpr = missed / positives, false / negatives
    return max(1.0, (1 - DELTA - fpr) / fnr, (1 - DELTA - fnr) / fpr)


@njit(cache=True)
def _best_threshold(high, low):  # type: ignore[no-untyped-def]
    """Over all t, where who is >= t is called `high`; both in ascending order."""
    best, i, j = 1.0, 0, 0
    while i < high.size or j < low.size:  # t is the lowest number that neither i nor j has passed
        best = max(best, _odds(i, low.size - j, high.size, low.size))
        t = high[i] if j == low.size or (i < high.size and high[i] < low[j]) else low[j]
        while i < high.size and high[i] == t:
            i += 1
        while j < low.size and low[j] == t:
            j += 1
    return best


@njit(cache=True)
def _best_interval(narrow, wide, reach):  # type: ignore[no-untyped-def]
    """Over all [l, r], called `narrow`, with r within `reach` of its end and l within `reach` of r less its range."""
    values = np.unique(np.concatenate((narrow, wide)))
    k = values.size
    inside, outside = np.searchsorted(narrow, values), np.searchsorted(wide, values)  # below each value
    end, width, best = narrow[-1], narrow[-1] - narrow[0], 1.0
    start = 0
    for j in range(k):
        after = values[j + 1] if j + 1 < k else np.inf
        if values[j] > end + reach or after <= end - reach:
            continue
        right_in = inside[j + 1] if j + 1 < k else narrow.size
        right_out = outside[j + 1] if j + 1 < k else wide.size
        lowest = max(values[j], end - reach) - width - reach
        highest = min(after, end + reach) - width + reach
        while start < k and values[start] < lowest:
            start += 1
        for i in range(start, j + 1):
            if i and values[i - 1] >= highest:
                break
            missed = narrow.size - (right_in - inside[i])
            best = max(best, _odds(missed, right_out - outside[i], narrow.size, wide.size))
    return best
