"""Seeded draws inside classes, from uniform doubles: the stream that NumPy has never changed."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(*axes: object) -> np.random.Generator:
    """A generator that depends on these names and nothing else."""
    digest = hashlib.sha256("\x1f".join(map(str, axes)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


def ordered_by_class(labels: np.ndarray, num_classes: int, *axes: object) -> list[np.ndarray]:
    """For each class its rows (indices into `labels` [N]) in an order drawn for these axes.

    A class's order depends on the axes, the class and its number of rows: other classes do not shift it.
    """
    return [
        rows[np.argsort(generator(*axes, c).random(len(rows)), kind="stable")]
        for c in range(num_classes)
        for rows in [np.flatnonzero(labels == c)]
    ]


def level(total: int, available: list[int]) -> list[int]:
    """Share `total` (at most the sum) over classes as evenly as their numbers of rows allow, the odd to the first."""
    counts = [0] * len(available)
    while total:
        open_classes = [c for c, n in enumerate(available) if counts[c] < n]
        each, odd = divmod(total, len(open_classes))
        for rank, c in enumerate(open_classes):
            more = min(each + (rank < odd), available[c] - counts[c])
            counts[c] += more
            total -= more
    return counts


def held_out(labels: np.ndarray, num_classes: int, share: float, *axes: object) -> np.ndarray:
    """bool [N]: true at this share of every class (rounded), drawn for these axes."""
    held = np.zeros(len(labels), dtype=bool)
    for rows in ordered_by_class(labels, num_classes, *axes):
        held[rows[: round(share * len(rows))]] = True
    return held
