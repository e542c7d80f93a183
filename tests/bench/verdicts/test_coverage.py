"""A small part of the simulation, and that the page prints what the large one found."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bench.verdicts.coverage import (
    ACCURACY,
    DROP,
    EXAMPLES,
    MARKS,
    PAGE,
    SETTINGS,
    Setting,
    _scores,
    published,
    simulate,
    table,
)
from bench.verdicts.looks import LONG, STANDARD, schedule

PATHS = 300
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)
def test_a_part_agrees_with_what_is_published(setting: Setting) -> None:
    (whole,) = [c for c in published() if (c.setting, c.looks) == (setting.name, STANDARD)]
    part = simulate(setting, schedule(), PATHS, seed=1)
    for here, there in zip((*part.at, part.at_all), (*whole.at, whole.at_all), strict=True):
        assert here == pytest.approx(there, abs=4 * math.sqrt(max(there * (1 - there), 0.005) / PATHS))


def test_every_setting_is_published_at_both_sets_of_looks() -> None:
    assert [(c.setting, c.looks) for c in published()] == [(s.name, n) for n in (STANDARD, LONG) for s in SETTINGS]


def test_the_page_prints_it() -> None:
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    assert page.split(MARKS[0])[1].split(MARKS[1])[0].strip() == table(published())


def test_what_is_simulated_has_the_accuracy_that_it_says() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    for collapsing in (0.0, 0.25):
        found = np.mean([_scores(collapsing, 12, rng).mean() for _ in range(400)])
        assert found == pytest.approx(-DROP * collapsing, abs=0.005)
    assert 0 < ACCURACY - DROP < 1
    assert _scores(0.0, 12, rng).shape == (12, EXAMPLES)
