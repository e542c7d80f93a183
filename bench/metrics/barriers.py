"""How far a curve along a line rises above the straight line between its ends. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence


def excess(points: Sequence[tuple[float, float]]) -> list[float]:
    """How far each value of a curve of (share of the way, value) lies above that line; 0 at the ends."""
    first, last = points[0][1], points[-1][1]
    return [y - (1 - x) * first - x * last for x, y in points]
