"""Where one more seed lies: the band holds it as often as it says, and the chance is the level that just reaches it."""

import numpy as np
import pytest
from scipy import stats

from bench.verdicts.prediction import band, chance


def test_the_band_is_the_prediction_interval_of_a_normal_sample():
    half = stats.t.ppf(0.975, 2) * 0.1 * (1 + 1 / 3) ** 0.5
    assert band([0.5, 0.6, 0.7], 0.05) == pytest.approx((0.6 - half, 0.6 + half))


def test_another_seed_of_the_same_law_is_refused_as_often_as_the_level_says():
    draws = stats.norm.rvs(size=(4000, 5), random_state=7)
    chances = [chance(seeds, last) for *seeds, last in draws.tolist()]
    assert np.mean(np.array(chances) < 0.05) == pytest.approx(0.05, abs=0.012)
    assert np.mean(chances) == pytest.approx(0.5, abs=0.02)


def test_the_chance_of_an_end_of_the_band_is_its_level():
    values = [0.4, 0.5, 0.55, 0.7]
    for level in (0.5, 0.05, 0.001):
        for end in band(values, level):
            assert chance(values, end) == pytest.approx(level)


def test_values_without_a_spread():
    assert chance([1.0, 1.0, 1.0], 1.0) == 1.0
    assert chance([1.0, 1.0, 1.0], 0.99) == 0.0
    assert chance([1.0, 1.0, 1.0], 0.99, least=0.01) > 0.3


def test_one_value_has_no_spread():
    with pytest.raises(ValueError, match="two values or more, got 1"):
        chance([1.0], 1.0)
