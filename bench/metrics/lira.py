"""LiRA and U-LiRA: membership by the likelihood ratio of two Gaussians an example, fitted on shadow models.

Carlini et al. 2022, arXiv:2112.03570; Hayes et al. 2024, arXiv:2403.01218. Of every example the models that saw it
(IN) and those that did not (OUT) give a normal law each of its log odds phi. For U-LiRA, IN are models that were
trained on the example and then made to forget it, OUT models that never saw it and went through the same unlearning:
the arithmetic is the same.

Read in the papers and in the released code (tensorflow/privacy, `mi_lira_2021`, commit 03035d5), which this follows in
that the centre of a law is a **median**. With fewer than 64 models its width is one for all examples ("fixed
variance"). Here that is the deviation *within* examples, of IN and of OUT apart; the released code takes the deviation
of all IN numbers at once, so that differences between examples widen both laws alike.

The code divides sums of squares by the number of models (NumPy's `ddof` of 0), and so does this where every example has
a width of its own. The one width within examples is divided by the degrees of freedom instead: with k models a side it
would come out too narrow by a factor of sqrt(1 - 1/k), 0.87 for four. Where both sides have equally many models, that
factor scales all scores and changes no order, so no area under a curve.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from bench.metrics.checks import numbers
from bench.metrics.ranks import auc_of_bits
from bench.metrics.shadow_laws import IN, OUT, Array, examples_first, moments, require, width, without_each

SURE = float(-np.log(1e-45))
"""The log odds that stand for an infinity: those of a probability of 1e-45, the released code's floor."""


def log_odds(logits: ArrayLike, labels: ArrayLike) -> Array:
    """phi [n] = log p_y - log sum_{i != y} p_i, in nats: high where the model is sure of the true class.

    Computed from the logits without a softmax, so that nothing is cut off: phi of a class that was masked by
    subtracting 10,000 still tells its examples apart. (The released code adds 1e-45 to either probability, which here
    stands for a logit of minus infinity only.)

    Args:
        logits: [n, C], C >= 2.
        labels: true classes, whole numbers [n].

    Raises:
        ValueError: other shapes, NaN or plus infinity, a label that is no class.
    """
    z, y = np.array(logits, dtype=np.float64), np.asarray(labels)
    if z.ndim != 2 or z.shape[0] == 0 or z.shape[1] < 2 or y.shape != z.shape[:1]:
        raise ValueError(f"logits [n, C >= 2] and labels [n] are needed, got shapes {z.shape} and {y.shape}")
    if not (z < np.inf).all():
        raise ValueError(f"logits hold NaN or +inf in {np.count_nonzero(~(z < np.inf).all(1))} of {len(z)} rows")
    if not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= z.shape[1]:
        raise ValueError(
            f"labels must be whole numbers from 0 to {z.shape[1] - 1}, got {y.dtype} {y.min()} to {y.max()}"
        )
    rows = np.arange(len(z))
    true = z[rows, y].copy()
    z[rows, y] = -np.inf
    highest = z.max(1)
    others = np.where(np.isfinite(highest), highest, 0.0)
    with np.errstate(divide="ignore"):  # log 0 where all others are impossible
        others = others + np.log(np.exp(z - others[:, None]).sum(1))
    phi = np.where(np.isneginf(true), -SURE, np.where(np.isneginf(others), SURE, 0.0))
    finite = np.isfinite(true) & np.isfinite(others)
    phi[finite] = true[finite] - others[finite]
    return phi


def score(phi: ArrayLike, shadows: ArrayLike, seen: ArrayLike) -> Array:
    """log N(phi; IN) - log N(phi; OUT) [n], in nats: higher is likelier a member ("online").

    Args:
        phi: log odds [n] under the model that is attacked.
        shadows: log odds [m, n] under m shadow models; for U-LiRA after unlearning.
        seen: bool [m, n], whether a shadow was trained on an example.

    Raises:
        ValueError: other shapes, a number that is not finite, or an example that too few shadows saw or did not see.
    """
    values, known, pooled = examples_first(shadows, seen, targets=1)
    target = _target(phi, values)
    require(known.sum(1), 1 if pooled else 2, "saw")
    require((~known).sum(1), 1 if pooled else 2, "did not see")
    median, squares, count = moments(values, known)
    out, in_ = (_log_normal(target, median[s], width(squares[s], count[s], pooled)) for s in (OUT, IN))
    return np.asarray(in_ - out)


def offline_score(phi: ArrayLike, shadows: ArrayLike, seen: ArrayLike) -> Array:
    """(phi - median) / width [n] under OUT alone: higher is likelier a member, for who has no IN models.

    The one-sided attack of the paper, which ranks by Pr[N <= phi]: the normal distribution function of this number,
    which rounds to 1 where this number does not. (The released code ranks by -log N(phi), two-sided.) Arguments as
    `score`.
    """
    values, known, pooled = examples_first(shadows, seen, targets=1)
    target = _target(phi, values)
    require((~known).sum(1), 1 if pooled else 2, "did not see")
    median, squares, count = moments(values, known)
    return np.asarray((target - median[OUT]) / width(squares[OUT], count[OUT], pooled))


def posterior(scores: ArrayLike) -> Array:
    """p_IN / (p_IN + p_OUT) [n] of log-likelihood ratios: what U-LiRA calls a member from 0.5 on."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -numbers(scores, "scores"))))


def over_targets(phi: ArrayLike, seen: ArrayLike) -> Array:
    """AUC [m] of `score` where each model in turn is attacked, with the others as its shadows.

    Every example's numbers are sorted once: leaving a model out moves a median by one place, and sums by one term.

    Args:
        phi: log odds [m, n] of n examples under m models.
        seen: bool [m, n].

    Raises:
        ValueError: as `score`, or a model that saw all of the examples or none.
    """
    values, known, pooled = examples_first(phi, seen, targets=0)
    require(known.sum(1), 2 if pooled else 3, "saw")
    require((~known).sum(1), 2 if pooled else 3, "did not see")
    count = known.sum(0)
    if (one := np.flatnonzero((count == 0) | (count == len(known)))).size:
        raise ValueError(f"model {one[0]} saw {count[one[0]]} of {len(known)} examples: an AUC needs some of either")
    widths = []
    full, left_out = moments(values, known), without_each(values, known)
    for side, here in ((OUT, ~known), (IN, known)):
        squares = np.where(here, left_out[1], full[1][side][:, None])
        free = np.where(here, full[2][side][:, None] - 1, full[2][side][:, None])
        widths.append(np.broadcast_to(width(squares, free, pooled), values.shape))
    return np.asarray(_aucs(values, known, full[0], left_out[0], widths[OUT], widths[IN]))


def _target(phi: ArrayLike, values: Array) -> Array:
    target = numbers(phi, "phi")
    if target.shape != values.shape[:1] or not np.isfinite(target).all():
        raise ValueError(f"phi must be {len(values)} finite numbers, as the shadows' examples, got {target.shape}")
    return target


def _log_normal(x: Array, centre: Array, width: Array) -> Array:
    """Up to the constant -log(2 pi) / 2."""
    return np.asarray(-0.5 * ((x - centre) / width) ** 2 - np.log(width))


@njit(cache=True)
def _aucs(values, known, median, left_out, width_out, width_in):  # type: ignore[no-untyped-def]
    """Area under the ROC curve [m] of the likelihood ratio at each model, from the laws of the others."""
    n, m = values.shape
    areas = np.empty(m)
    for t in range(m):
        ratio, member = np.empty(n), np.empty(n, np.uint8)
        for i in range(n):
            x, saw = values[i, t], known[i, t]
            out, inside = (median[0, i], left_out[i, t]) if saw else (left_out[i, t], median[1, i])
            a, b = (x - inside) / width_in[i, t], (x - out) / width_out[i, t]
            ratio[i] = (b * b - a * a) / 2 + math.log(width_out[i, t] / width_in[i, t])
            member[i] = saw
        areas[t] = auc_of_bits(ratio.view(np.uint64), member)
    return areas
