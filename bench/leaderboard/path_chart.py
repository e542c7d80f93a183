"""Line charts of the way between two aligned networks, as numbers: test beside training images, one key for both.

All lines begin and end near the same two points, so names stand in a key, in the order of the lines' middles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.leaderboard import chart, measures, plot
from bench.leaderboard.board import Row, Section
from bench.leaderboard.curves import SPLITS
from bench.metrics.barriers import excess

LEFT, PANEL, GAP, TOP, BOTTOM = 44.0, 330.0, 50.0, 30.0, 38.0
"""Pixels: before the first panel, its width, between panels, above and below them."""
KEY_GAP, KEY_NAMES, KEY_NUMBERS = 26.0, 240.0, 58.0
"""Before the key, for a line's sample and name, for a number."""
LEAST_HEIGHT, KEY_ROW = 370.0, 19.0
ROUNDING = 2e-6
"""Of values in records; no rise is smaller."""
SHOWN = {
    "loss": ("barrier", "Loss between the parents, nats", "the loss rises"),
    "error": ("error_barrier", "Error between the parents, %", "the share of wrong answers rises"),
}
"""First part of a curve's name -> the metric, the title, and what rises."""
CAPTION = (
    "Means over seeds. λ = 0 is the first parent, λ = 1 the other parent after the row's method has aligned it, and "
    "λ = 0.5 is their average. The {barrier} is the most that {rises} above the straight line between its two end "
    "values (the maximum over λ of each seed, then the mean). Dots mark the highest point of each curve. No method "
    "sees these curves."
)


@dataclass(frozen=True)
class Line:
    """One row's curve, in pixels from the upper left corner."""

    colour: str
    dash: str
    points: str
    peak: tuple[float, float] | None
    """Where it rises most above the straight line between its ends; None where it nowhere does."""


@dataclass(frozen=True)
class Panel:
    """One split."""

    title: str
    left: float
    right: float
    x_ticks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Named:
    """A row in the key."""

    label: str
    colour: str
    dash: str
    y: float
    values: tuple[tuple[float, str], ...]
    """(right edge, barrier) by split."""


@dataclass(frozen=True)
class Figure:
    """Loss or error, on all splits that there are, on one vertical axis."""

    title: str
    caption: str
    barrier: str
    """Heading of the key."""
    width: float
    height: float
    y_ticks: tuple[tuple[float, str], ...]
    panels: tuple[Panel, ...]
    columns: tuple[tuple[float, str], ...]
    """(right edge, heading) of the key's numbers."""
    key_x: float
    key: tuple[Named, ...]

    @property
    def floor(self) -> float:
        """Pixels from above to the lower axis."""
        return self.height - BOTTOM

    @property
    def label_x(self) -> float:
        """Where names stand in the key."""
        return self.key_x + 34


def figures(section: Section) -> list[Figure]:
    """A figure for loss and for error, where any row has told such a way."""
    rows = chart.shown_rows(section)
    found = [
        _figure(what, section, rows)
        for what in SHOWN
        if any(f"{what}_{s}" in r.curves for s in SPLITS for r in rows.values())
    ]
    return found


def _figure(what: str, section: Section, rows: Mapping[str, Row]) -> Figure:
    name, title, rises = SHOWN[what]
    metric = section.metric(name)
    splits = [split for split in SPLITS if any(f"{what}_{split}" in row.curves for row in rows.values())]
    own = {
        s: {label: row.curves[n] for label, row in rows.items() if (n := f"{what}_{s}") in row.curves} for s in splits
    }
    labels = [label for label in rows if any(label in own[split] for split in splits)]
    values = [y for split in splits for curve in own[split].values() for _, y in curve]
    pad = 0.04 * (max(values) - min(values)) or 0.01
    low, high = min(values) - pad, max(values) + pad
    height = max(LEAST_HEIGHT, TOP + BOTTOM + KEY_ROW * len(labels))
    looks = chart.styles(rows)

    def y(value: float) -> float:
        return round(TOP + (high - value) / (high - low) * (height - TOP - BOTTOM), 1)

    def panel(number: int, split: str) -> Panel:
        left = LEFT + number * (PANEL + GAP)

        def at(point: tuple[float, float]) -> tuple[float, float]:
            return round(left + point[0] * PANEL, 1), y(point[1])

        lines = []
        for label, curve in own[split].items():
            above = excess(curve)
            peak = at(curve[above.index(max(above))]) if max(above) > ROUNDING else None
            lines.append(Line(*looks[label], " ".join(f"{a},{b}" for a, b in map(at, curve)), peak))
        ticks = tuple((at((share, 0.0))[0], f"{share:g}") for share in (0, 0.25, 0.5, 0.75, 1))
        return Panel(SPLITS[split], left, left + PANEL, ticks, tuple(lines))

    key_x = LEFT + len(splits) * (PANEL + GAP) - GAP + KEY_GAP
    edges = {split: key_x + KEY_NAMES + KEY_NUMBERS * (i + 1) for i, split in enumerate(splits)}
    names = {split: name if split == "test" else f"{name}_{split}" for split in splits}

    def middle(label: str) -> float:
        curve = next(own[split][label] for split in splits if label in own[split])
        return curve[len(curve) // 2][1]

    key = tuple(
        Named(
            label,
            *looks[label],
            TOP + KEY_ROW * (i + 0.5),
            tuple((edges[s], measures.number(metric, rows[label].metrics.get(names[s]))) for s in splits),
        )
        for i, label in enumerate(sorted(labels, key=middle, reverse=True))
    )
    return Figure(
        title=title,
        caption=CAPTION.format(barrier=measures.title(metric), rises=rises),
        barrier=measures.heading(metric),
        width=max(edges.values()) + 10,
        height=height,
        y_ticks=tuple((y(v), text) for v, text in plot.ticks("%" if what == "error" else "nats", low, high, parts=6)),
        panels=tuple(panel(i, split) for i, split in enumerate(splits)),
        columns=tuple((edge, split) for split, edge in edges.items()),
        key_x=key_x,
        key=key,
    )
