"""How far a model that was made to forget is from models that never saw the data.

A *reading* is what a model shows: accuracy on retained, forgotten and test rows, and what a membership attack finds,
all in [0, 1]. The target is the mean reading of several retrained models. Every distance is two-sided: an accuracy on
forgotten rows below that of retrained models is as much a fault as one above (it betrays which rows were removed).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Reading = Mapping[str, float]
"""`retain`, `forget`, `test` (accuracies) and `mia` (area under the attack's ROC curve)."""


def average_gap(reading: Reading, target: Reading) -> float:
    """Mean absolute difference of all parts of two readings, in [0, 1]; 0 is as good as retrained.

    The average gap of SalUn (Fan et al. 2024, arXiv:2310.12508), there in points of 100.
    """
    return sum(abs(reading[part] - target[part]) for part in target) / len(target)


def tug_of_war(reading: Reading, target: Reading) -> float:
    """Product over retain, forget and test of 1 - |difference of accuracy|; 1 is as good as retrained.

    Zhao et al. 2024, arXiv:2406.01257.
    """
    return _closeness(reading, target, ("retain", "forget", "test"))


def tug_of_war_mia(reading: Reading, target: Reading) -> float:
    """The tug of war with the attack in the place of the accuracy on forgotten rows, as the same paper has it."""
    return _closeness(reading, target, ("retain", "mia", "test"))


def _closeness(reading: Reading, target: Reading, parts: Sequence[str]) -> float:
    return float(np.prod([1 - abs(reading[part] - target[part]) for part in parts]))


def mean_reading(readings: Sequence[Reading]) -> dict[str, float]:
    """The mean of each part."""
    return {part: sum(r[part] for r in readings) / len(readings) for part in readings[0]}


def leave_one_out(readings: Sequence[Reading], distance: Callable[[Reading, Reading], float]) -> float:
    """Mean distance of each reading from the mean of the others: the floor under which differences are noise.

    Raises:
        ValueError: fewer than two readings.
    """
    if len(readings) < 2:
        raise ValueError(f"a floor needs two readings, got {len(readings)}")
    others = [mean_reading([*readings[:i], *readings[i + 1 :]]) for i in range(len(readings))]
    return sum(distance(r, o) for r, o in zip(readings, others, strict=True)) / len(readings)


def jensen_shannon(p: ArrayLike, q: ArrayLike) -> float:
    """Mean over rows of the Jensen-Shannon divergence, in nats: 0 for equal rows, ln 2 for disjoint ones.

    Args:
        p: probabilities [N, C].
        q: probabilities [N, C].

    Raises:
        ValueError: shapes differ.
    """
    p, q = _two(p, q)
    middle = (p + q) / 2
    return float((_kl(p, middle) + _kl(q, middle)).mean() / 2)


def activation_distance(p: ArrayLike, q: ArrayLike) -> float:
    """Mean over rows of the Euclidean distance of two probability vectors, in [0, sqrt 2].

    On the forgotten rows, as in Chundawat et al. 2023, arXiv:2205.08096. (The notebook of SCRUB takes the sum of
    absolute differences.)

    Args:
        p: probabilities [N, C].
        q: probabilities [N, C].

    Raises:
        ValueError: shapes differ.
    """
    p, q = _two(p, q)
    return float(np.linalg.norm(p - q, axis=1).mean())


def zero_retrain_forgetting(p: ArrayLike, untrained: ArrayLike) -> float:
    """ZRF: 1 - the Jensen-Shannon divergence from an untrained network, in [1 - ln 2, 1].

    Chundawat et al. 2023, arXiv:2205.08096. What is wanted is a retrained model's value, not 1. Their code divides
    the divergence by the number of classes as well: values near 0.99 in print are on that scale.

    Args:
        p: probabilities [N, C] of the model on the forgotten rows.
        untrained: those of a network that was never trained.

    Raises:
        ValueError: shapes differ.
    """
    return 1 - jensen_shannon(p, untrained)


def _two(p: ArrayLike, q: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    p, q = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    if p.shape != q.shape or p.ndim != 2:
        raise ValueError(f"two arrays [N, C] of one shape are needed, got {p.shape} and {q.shape}")
    return p, q


def _kl(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """KL(p || q) [N] of rows; 0 log 0 = 0, and q is positive wherever p is."""
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return (p * np.log(ratio)).sum(1)
