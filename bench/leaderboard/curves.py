"""What the curves of records show, by their names: of what, over what, in which unit.

A curve that is not known here is a metric over the share of a training budget.
"""

from __future__ import annotations

from typing import NamedTuple

from bench.leaderboard import measures
from bench.leaderboard.board import Section
from bench.metrics.metric import Metric

VALIDATION = "validation"
"""The best score on validation examples so far, over the share of a row's trials."""
SPLITS = {"test": "test images", "train": "training images"}
ON_THE_WAY = frozenset(f"{what}_{split}" for what in ("loss", "error") for split in SPLITS)
"""Over the way between two aligned networks, 0 to 1: `path_chart` draws them."""


class Axes(NamedTuple):
    """A chart's words."""

    metric: Metric
    """Whose unit the values have."""
    title: str
    over: str
    share: str


def is_known(name: str) -> bool:
    """Whether a curve goes along something else than a budget."""
    return name == VALIDATION or name in ON_THE_WAY


def axes(name: str, section: Section) -> Axes:
    """The words for a curve that is not one `ON_THE_WAY`; validation scores are of the headline."""
    if name == VALIDATION:
        title = f"best {measures.title(section.ranked_by)} so far on validation examples"
        return Axes(section.ranked_by, title, "the trials", "share of the trials")
    metric = section.metric(name)
    return Axes(metric, measures.title(metric), "the budget", "share of the budget spent")
