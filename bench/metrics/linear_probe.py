"""What a linear classifier can read off fixed features: ridge regression whose penalty leave-one-out errors choose.

Closed form and deterministic. Features are standardised on the training rows, so that shrinking or shifting them hides
nothing, and with a small penalty to choose from, hardly anything is hidden by mixing them either.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

PENALTIES = tuple(10.0**k for k in range(-4, 5))
"""What leave-one-out chooses from, in units of a training row's weight."""


def ridge_probe(train: ArrayLike, labels: ArrayLike, test: ArrayLike) -> NDArray[np.int64]:
    """Classes [M] that a linear classifier, fitted to labelled features, gives to other features.

    Least squares onto the classes' indicators with an intercept, minimising |Y - Z W|^2 + penalty * |W|^2; of the
    `PENALTIES` the one whose squared error on rows left out one at a time, by the hat matrix's diagonal h_ii as
    residual / (1 - h_ii), is least (Allen 1974). The largest output wins; the smaller class on ties.

    Args:
        train: features [N, d] of at least two rows.
        labels: int [N], from 0.
        test: features [M, d].

    Raises:
        ValueError: shapes that do not fit, fewer than two rows, or features that are not finite.
    """
    x, y, other = np.asarray(train, np.float64), np.asarray(labels), np.asarray(test, np.float64)
    if x.ndim != 2 or other.ndim != 2 or x.shape[1] != other.shape[1] or y.shape != (len(x),) or len(x) < 2:
        raise ValueError(
            f"features [N, d], labels [N] and features [M, d] with N >= 2 are needed, got shapes {x.shape}, {y.shape} "
            f"and {other.shape}"
        )
    if not (np.isfinite(x).all() and np.isfinite(other).all()):
        raise ValueError("features are not finite")
    mean, deviation = x.mean(0), x.std(0)
    scale = np.where(deviation > 0, deviation, 1.0)  # a feature that never changes tells nothing: its column is 0
    z, unseen = (x - mean) / scale, (other - mean) / scale
    indicators = np.eye(int(y.max()) + 1)[y]
    prior = indicators.mean(0)
    u, s, vt = np.linalg.svd(z, full_matrices=False)
    projected = u.T @ (indicators - prior)
    weights = min((_fit(u, s, projected, indicators - prior, penalty) for penalty in PENALTIES), key=lambda f: f[0])[1]
    return (unseen @ (vt.T @ weights) + prior).argmax(1)


def _fit(
    u: NDArray[np.float64],
    s: NDArray[np.float64],
    projected: NDArray[np.float64],
    targets: NDArray[np.float64],
    penalty: float,
) -> tuple[float, NDArray[np.float64]]:
    """Squared leave-one-out error, and the weights [rank, classes] in the basis of the right singular vectors."""
    shrunk = s**2 / (s**2 + penalty)
    hat = 1 / len(u) + (u**2 * shrunk).sum(1)
    residuals = targets - u @ (shrunk[:, None] * projected)
    left_out = residuals / np.maximum(1 - hat, 1e-9)[:, None]  # a row that is fitted whatever it says: no division by 0
    return float((left_out**2).sum()), (s / (s**2 + penalty))[:, None] * projected
