"""Interval plots as numbers: where on a common axis a mean, its interval and the references stand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.leaderboard import measures

WIDTH, MARGIN = 220.0, 8.0


@dataclass(frozen=True)
class Mark:
    """A mean and its interval in pixels from the left edge."""

    x: float
    low: float | None
    high: float | None
    cut_low: bool
    """The interval goes on beyond the edge."""
    cut_high: bool


@dataclass(frozen=True)
class Axis:
    """A linear axis of numbers of a unit over `WIDTH` pixels."""

    unit: str
    low: float
    high: float

    def x(self, value: float) -> float:
        """Pixels, held inside the edges, with one decimal."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(MARGIN + share * (WIDTH - 2 * MARGIN), 1)

    def mark(self, mean: float, low: float | None, high: float | None) -> Mark:
        """A mean and its interval on this axis."""
        if low is None or high is None:
            return Mark(self.x(mean), None, None, False, False)
        return Mark(self.x(mean), self.x(low), self.x(high), low < self.low, high > self.high)

    def ticks(self) -> list[tuple[float, str]]:
        """(pixels, text) at three to five round numbers."""
        return [(self.x(value), text) for value, text in ticks(self.unit, self.low, self.high)]


def ticks(unit: str, low: float, high: float, parts: int = 4) -> list[tuple[float, str]]:
    """(value, text) at round numbers from `low` to `high`, which they divide into at most `parts` and two ends."""
    step = _round_step((high - low) / parts)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    shown = 100 if measures.is_share(unit) else 1
    decimals = max(0, -math.floor(math.log10(step * shown) + 1e-9))
    marked = ((k * step, f"{k * step * shown + 0.0:.{decimals}f}") for k in range(first, last + 1))
    return [(value, text.replace("-", measures.MINUS)) for value, text in marked]


def axis(unit: str, bars: Iterable[tuple[float, float | None, float | None]], also: Sequence[float] = ()) -> Axis:
    """An axis on which all means (and `also`) stand, and intervals as far as they do not dwarf the means."""
    bars = list(bars)
    means = [*(b[0] for b in bars), *also]
    ends = [end for b in bars for end in b[1:] if end is not None]
    widths = sorted(b[2] - b[1] for b in bars if b[1] is not None and b[2] is not None)
    span = max(max(means) - min(means), widths[len(widths) // 2] if widths else 0.0) or abs(means[0]) or 1.0
    low = max(min([*means, *ends]), min(means) - 0.6 * span)
    high = min(max([*means, *ends]), max(means) + 0.6 * span)
    if low == high:
        low, high = low - span / 2, high + span / 2
    return Axis(unit, low, high)


def _round_step(step: float) -> float:
    """1, 2 or 5 times a power of ten, at least `step` to rounding."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= step * (1 - 1e-9))
