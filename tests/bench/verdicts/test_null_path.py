"""The chance of a crossing, against simulation, and what it must be where it is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import stdtrit

from bench.verdicts.looks import LEVELS, STANDARD, TOTAL
from bench.verdicts.null_path import SMALL, calibrated, total_error


def simulated(looks: tuple[int, ...], levels: tuple[float, ...], paths: int = 200_000) -> float:
    """Share of paths of normal numbers whose t statistic crosses at a look."""
    x = np.random.default_rng(0).standard_normal((paths, looks[-1]))
    crossed = np.zeros(paths, dtype=bool)
    for n, level in zip(looks, levels, strict=True):
        t = x[:, :n].mean(1) / (x[:, :n].std(1, ddof=1) / np.sqrt(n))
        crossed |= abs(t) > stdtrit(n - 1, 1 - level / 2)
    return float(crossed.mean())


@pytest.mark.parametrize("looks", LEVELS)
def test_published_levels_are_the_calibrated_ones(looks: tuple[int, ...]) -> None:
    found = calibrated(looks, TOTAL)
    assert total_error(looks, found) == pytest.approx(TOTAL, abs=1e-7)
    assert LEVELS[looks] == pytest.approx(found, abs=6e-5)
    assert [level / n for level, n in zip(found, looks, strict=True)] == pytest.approx([found[0] / 3] * len(looks))


@pytest.mark.parametrize("looks", LEVELS)
def test_published_levels_by_simulation(looks: tuple[int, ...]) -> None:
    assert simulated(looks, LEVELS[looks]) == pytest.approx(TOTAL, abs=0.0015)  # three standard errors


@pytest.mark.parametrize(
    ("looks", "levels"),
    [((3, 6, 12), (0.05,) * 3), ((3, 6), (0.3, 0.4)), ((2, 4, 9, 11), (0.02, 0.1, 0.01, 0.05)), ((4, 40), (0.2, 0.01))],
)
def test_other_looks_by_simulation(looks: tuple[int, ...], levels: tuple[float, ...]) -> None:
    assert total_error(looks, levels) == pytest.approx(simulated(looks, levels), abs=0.0035)


def test_one_look_has_its_level() -> None:
    assert total_error([7], [0.05]) == 0.05


@pytest.mark.parametrize("factor", [1e-9, 0.01, 0.02, 0.5, 3.0, 30.0])
def test_between_the_largest_level_and_their_sum(factor: float) -> None:
    levels = [factor * level for level in LEVELS[STANDARD]]
    found = total_error(STANDARD, levels)
    assert max(levels) < found <= sum(levels)


def test_small_levels_go_over_into_the_rest() -> None:
    scale = SMALL / sum(LEVELS[STANDARD])
    below, above = (total_error(STANDARD, [f * scale * level for level in LEVELS[STANDARD]]) for f in (0.999, 1.001))
    assert above == pytest.approx(below, rel=0.025)


def test_a_level_of_one_refuses_always() -> None:
    assert total_error(STANDARD, [0.3, 0.6, 1.2]) == 1.0


@pytest.mark.parametrize(
    ("looks", "levels", "message"),
    [
        ([], [], "one look at least"),
        ([3, 6], [0.05], "one level a look"),
        ([3, 4], [0.05, 0.05], "rise by 2"),
        ([1, 6], [0.05, 0.05], "start at 2"),
        ([3, 6], [0.05, 0.0], "positive"),
    ],
)
def test_what_is_no_plan(looks: list[int], levels: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        total_error(looks, levels)
