"""The magnitude of a given rank among numbers that come in pieces: exact, in one pass for each 16 bits of a number.

Magnitudes of floats are in the order of their bits. The first pass counts them by their first 16 bits; each further one
counts, by the next 16 bits, those that share all earlier ones with the number that is looked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

DIGIT = 16
"""Bits that one pass ranks by."""


class Ranking:
    """Of several vectors, the entry that has a given place from the bottom. Threads may count at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[int, NDArray[np.int64]] = {}
        self._prefixes: dict[int, int] = {}
        """Vector -> the bits of its entry that are known."""
        self._below: dict[int, int] = {}
        """Vector -> the place of its entry among those that share these bits; -1 beyond the last."""
        self._bits, self._known = 0, 0
        """Of a number, and of them known."""

    @property
    def done(self) -> bool:
        """Whether all bits are known."""
        return self._known > 0 and self._known >= self._bits

    def count(self, vector: int, magnitudes: NDArray[np.floating]) -> None:
        """A piece of a vector, [d], not negative; float32 or float64, the same in all pieces."""
        bits = magnitudes.view(np.uint32 if magnitudes.dtype == np.float32 else np.uint64)
        width = 8 * magnitudes.itemsize
        mine = np.zeros(1 << DIGIT, np.int64)
        _count(bits, width - self._known - DIGIT, self._prefixes.get(vector, 0), mine)
        with self._lock:
            self._bits = width
            self._counts[vector] = self._counts.get(vector, 0) + mine

    def narrow(self, place: Callable[[int], int]) -> None:
        """End of a pass: 16 more bits are known.

        Args:
            place: the number of a vector's entries -> the place that is looked for, from 0; that number itself stands
                for a place beyond the last.
        """
        for vector, counts in self._counts.items():
            if self._known == 0:
                entries = int(counts.sum())
                self._below[vector] = place(entries) if place(entries) < entries else -1
            if self._below[vector] < 0:
                continue
            upto = counts.cumsum()
            digit = int(np.searchsorted(upto, self._below[vector], side="right"))
            self._below[vector] -= int(upto[digit - 1]) if digit else 0
            self._prefixes[vector] = (self._prefixes.get(vector, 0) << DIGIT) | digit
        self._counts = {}
        self._known += DIGIT

    def found(self) -> list[float]:
        """The entry of each vector; infinity for a place beyond its last entry."""
        kind, like = (np.uint32, np.float32) if self._bits == 32 else (np.uint64, np.float64)
        return [
            float("inf") if self._below[vector] < 0 else float(np.array(self._prefixes[vector], kind).view(like))
            for vector in sorted(self._below)
        ]


@njit(cache=True, nogil=True)
def _count(bits, shift, prefix, counts):  # type: ignore[no-untyped-def]
    shift, prefix = np.uint64(shift), np.uint64(prefix)
    for number in bits:
        at = np.uint64(number) >> shift
        if at >> np.uint64(DIGIT) == prefix:
            counts[at & np.uint64(0xFFFF)] += 1
