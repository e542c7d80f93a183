"""Weak membership attacks: thresholds for every class, and logistic regression on the entropy.

Both look at one number an example of one model, and are fitted where membership is known. They stand here because
papers report them: that a model withstands them says little (see `lira`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.metrics.checks import binary, numbers, same_shape
from bench.metrics.membership import best_threshold

LEAST_PROBABILITY = 1e-30
"""What logarithms see in the place of a probability of 0, as in Song and Mittal's released code."""

Array = NDArray[np.float64]


def features(probabilities: ArrayLike, labels: ArrayLike) -> dict[str, Array]:
    """Song and Mittal's four numbers an example [n] each, higher for members.

    `correctness` (0 or 1), `confidence` p_y, `entropy` and `modified_entropy`, both negated:
    Mentr = -(1 - p_y) log p_y - sum_{i != y} p_i log(1 - p_i), which unlike entropy knows right from wrong.

    Args:
        probabilities: [n, C], rows that add up to 1.
        labels: true classes, whole numbers [n].

    Raises:
        ValueError: other shapes, rows that are no probabilities, a label that is no class.
    """
    p, y = _probabilities(probabilities), np.asarray(labels)
    if y.shape != p.shape[:1] or not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= p.shape[1]:
        raise ValueError(f"labels must be {len(p)} whole numbers from 0 to {p.shape[1] - 1}, got {y.dtype} {y.shape}")
    rows = np.arange(len(p))
    weight, inside = p.copy(), 1 - p
    weight[rows, y], inside[rows, y] = 1 - p[rows, y], p[rows, y]
    return {
        "correctness": (p.argmax(1) == y).astype(np.float64),
        "confidence": p[rows, y],
        "entropy": -entropy(p),
        "modified_entropy": (weight * np.log(np.maximum(inside, LEAST_PROBABILITY))).sum(1),
    }


def entropy(probabilities: ArrayLike) -> Array:
    """-sum_i p_i log p_i [n] in nats, of rows [n, C]. Raises ValueError where they are no probabilities."""
    p = _probabilities(probabilities)
    return np.asarray(-(p * np.log(np.maximum(p, LEAST_PROBABILITY))).sum(1))


def classwise_threshold_accuracy(
    known: ArrayLike,
    known_classes: ArrayLike,
    known_member: ArrayLike,
    scores: ArrayLike,
    classes: ArrayLike,
    member: ArrayLike,
) -> float:
    """Balanced accuracy in [0, 1], (TPR + TNR) / 2, of one threshold a class (Song and Mittal 2021, arXiv:2003.10595).

    For each class the threshold of the highest balanced accuracy on examples whose membership is known, in the paper
    those of a shadow model; then all examples of all classes are judged together. Of `correctness` it is the paper's
    attack by correctness wherever that feature tells members at all.

    Args:
        known: one of `features` [k] where thresholds are fitted; higher means member.
        known_classes: their true classes [k].
        known_member: bool [k].
        scores: the same feature [n] of the examples under attack.
        classes: [n].
        member: bool [n], the answer.

    Raises:
        ValueError: unequal lengths, NaN, members or non-members only, or a class without known examples of both kinds.
    """
    fit, fit_class, fit_member = _labelled(known, known_classes, known_member, "known")
    test, test_class, test_member = _labelled(scores, classes, member, "scores")
    called = np.empty(test.size, dtype=bool)
    for c in np.unique(test_class):
        here = fit_class == c
        kinds = np.unique(fit_member[here])
        if kinds.size < 2:
            raise ValueError(f"class {c}: a threshold needs known members and non-members, got {here.sum()} examples")
        called[test_class == c] = test[test_class == c] >= best_threshold(fit[here], fit_member[here]).value
    return float((called[test_member].mean() + 1 - called[~test_member].mean()) / 2)


def entropy_attack(forgotten: ArrayLike, members: ArrayLike, others: ArrayLike) -> float:
    """Share of forgotten examples in [0, 1] that logistic regression on the entropy calls members.

    The attack of bad teaching (Chundawat et al. 2023, arXiv:2205.08096) as SSD runs it (Foster et al. 2024,
    arXiv:2308.07707): both classes weigh alike, and the slope is held by the ridge penalty w^2 / 2 of scikit-learn's
    default. (Bad teaching's own file has a support vector machine.) Lower looks better forgotten, and means something
    beside a retrained model's value only.

    Args:
        forgotten: entropy [n] of the examples to be forgotten.
        members: the same [a] of examples that were trained on and are kept.
        others: the same [b] of examples never seen.

    Raises:
        ValueError: NaN, infinity, or an empty part.
    """
    f, inside, outside = numbers(forgotten, "forgotten"), numbers(members, "members"), numbers(others, "others")
    x = np.concatenate([inside, outside])
    if not np.isfinite(x).all() or not np.isfinite(f).all():
        raise ValueError("entropies must be finite")
    y = np.arange(x.size) < inside.size
    slope, intercept = logistic_regression(x, y)
    return float(np.mean(slope * f + intercept > 0))


def logistic_regression(x: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    """Slope and intercept that minimise slope^2 / 2 + the weighted log-loss of y on x, both classes weighing N / 2.

    Newton's method with halved steps; the loss is strictly convex.

    Args:
        x: the one feature [N].
        y: bool [N].

    Raises:
        ValueError: unequal lengths, NaN, or only one of the two classes.
    """
    feature, hit = numbers(x, "x"), binary(y, "y").view(np.bool_)
    same_shape(feature, hit, "x and y")
    count = np.array([np.count_nonzero(~hit), np.count_nonzero(hit)])
    if count.min() == 0:
        raise ValueError(f"y must hold both classes, got {count[1]} of {hit.size}")
    design, sign = np.stack([feature, np.ones_like(feature)]), np.where(hit, 1.0, -1.0)
    weight = feature.size / (2 * count[hit.astype(int)])
    ridge = np.array([1.0, 0.0])

    def loss(w: Array) -> float:
        return float(ridge @ w**2 / 2 + weight @ np.logaddexp(0.0, -sign * (w @ design)))

    w = np.zeros(2)
    for _ in range(100):
        p = np.exp(-np.logaddexp(0.0, -(w @ design)))
        gradient = ridge * w + design @ (weight * (p - hit))
        hessian = np.diag(ridge) + (design * (weight * p * (1 - p))) @ design.T
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        size = 1.0
        while size > 1e-6 and loss(w - size * step) > loss(w):
            size /= 2
        w = w - size * step
        if np.abs(size * step).max() < 1e-10 * (1 + np.abs(w).max()):
            break
    return float(w[0]), float(w[1])


def _probabilities(values: ArrayLike) -> Array:
    p = np.asarray(values, dtype=np.float64)
    if p.ndim != 2 or p.shape[0] == 0 or p.shape[1] < 2:
        raise ValueError(f"probabilities must be [n, C >= 2], got shape {p.shape}")
    if not ((p >= 0).all() and np.allclose(p.sum(1), 1, atol=1e-4)):
        raise ValueError("rows of probabilities must be at least 0 and add up to 1; take the softmax of logits first")
    return p


def _labelled(
    values: ArrayLike, classes: ArrayLike, member: ArrayLike, name: str
) -> tuple[Array, NDArray[np.int64], NDArray[np.bool_]]:
    v, c, m = numbers(values, name), np.asarray(classes), binary(member, f"members of {name}").view(np.bool_)
    same_shape(v, c, f"{name} and its classes")
    same_shape(v, m, f"{name} and its members")
    if m.all() or not m.any():
        raise ValueError(f"{name} must hold members and non-members, got {m.sum()} members of {m.size}")
    return v, c, m
