"""Expected calibration error (Naeini, Cooper, Hauskrecht, AAAI 2015; Guo et al., ICML 2017, arXiv:1706.04599)."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from bench.metrics.checks import binary, numbers, same_shape

ROUNDING = 1e-6
"""By so much may a float32 softmax leave [0, 1]; it counts as the end of the range."""


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike, bins: int = 15) -> float:
    """Sum over bins of (share of examples in the bin) x |mean confidence - accuracy| there, in [0, 1].

    The bins have equal width and are closed on the right: bin b holds b/bins < confidence <= (b+1)/bins,
    and the first holds 0 as well (Guo et al., equation 3).

    Args:
        confidence: [N] in [0, 1], the probability given to the predicted class.
        correct: [N] bool or 0/1.
        bins: how many, at least one.

    Raises:
        ValueError: no examples, unequal lengths, a confidence that is NaN or outside of [0, 1], bins < 1.
    """
    c = numbers(confidence, "confidence")
    hit = binary(correct, "correct")
    same_shape(c, hit, "confidence and correct")
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    if c.min() < -ROUNDING or c.max() > 1 + ROUNDING:
        raise ValueError(f"confidence must lie in [0, 1], got {c.min():.6g} to {c.max():.6g}")
    return float(_calibration_error(c, hit, int(bins)))


@njit(cache=True)
def _calibration_error(confidence, hit, bins):  # type: ignore[no-untyped-def]
    surplus = np.zeros(bins)
    for i in range(confidence.size):
        c = confidence[i]
        b = min(max(int(c * bins), 0), bins - 1)
        # The product is rounded: settle on which side of the edge b / bins the confidence really is.
        if b > 0 and c <= b / bins:
            b -= 1
        elif b < bins - 1 and c > (b + 1) / bins:
            b += 1
        surplus[b] += c - hit[i]
    return np.abs(surplus).sum() / confidence.size
