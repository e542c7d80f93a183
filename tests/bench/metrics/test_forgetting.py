"""Distances from retrained models, on numbers made by hand."""

import numpy as np
import pytest

from bench.metrics.forgetting import (
    activation_distance,
    average_gap,
    jensen_shannon,
    leave_one_out,
    mean_reading,
    tug_of_war,
    tug_of_war_mia,
    zero_retrain_forgetting,
)

TARGET = {"retain": 1.0, "forget": 0.5, "test": 0.6, "mia": 0.5}


def test_average_gap_by_hand():
    reading = {"retain": 0.9, "forget": 0.9, "test": 0.5, "mia": 0.8}
    assert average_gap(reading, TARGET) == pytest.approx((0.1 + 0.4 + 0.1 + 0.3) / 4)
    assert average_gap(TARGET, TARGET) == 0


def test_forgetting_too_much_is_no_bonus():
    above, below = TARGET | {"forget": 0.7}, TARGET | {"forget": 0.3}
    assert average_gap(above, TARGET) == pytest.approx(average_gap(below, TARGET))
    assert tug_of_war(above, TARGET) == pytest.approx(tug_of_war(below, TARGET)) == pytest.approx(0.8)


def test_tug_of_war_by_hand():
    reading = {"retain": 0.9, "forget": 0.9, "test": 0.5, "mia": 0.0}
    assert tug_of_war(reading, TARGET) == pytest.approx(0.9 * 0.6 * 0.9)
    assert tug_of_war(TARGET, TARGET) == 1


def test_tug_of_war_with_the_attack_in_the_place_of_forgotten_accuracy():
    reading = {"retain": 0.9, "forget": 0.9, "test": 0.5, "mia": 0.0}
    assert tug_of_war_mia(reading, TARGET) == pytest.approx(0.9 * 0.5 * 0.9)
    assert tug_of_war_mia(TARGET | {"forget": 0.0}, TARGET) == 1


def test_mean_and_floor_by_hand():
    readings = [TARGET, TARGET | {"test": 0.8}, TARGET | {"test": 0.7}]
    assert mean_reading(readings) == pytest.approx(TARGET | {"test": 0.7})
    # From the mean of the others: |0.6 - 0.75|, |0.8 - 0.65|, |0.7 - 0.7|, each a quarter of the gap.
    assert leave_one_out(readings, average_gap) == pytest.approx((0.15 + 0.15 + 0) / 4 / 3)


def test_one_reading_has_no_floor():
    with pytest.raises(ValueError, match="two readings"):
        leave_one_out([TARGET], average_gap)


def test_jensen_shannon():
    p = np.array([[1.0, 0.0], [0.5, 0.5]])
    assert jensen_shannon(p, p) == 0
    assert jensen_shannon(p[:1], p[:1, ::-1]) == pytest.approx(np.log(2))
    q = np.array([[0.5, 0.5], [0.5, 0.5]])
    by_hand = (np.log(1 / 0.75) + 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25)) / 2
    assert jensen_shannon(p, q) == pytest.approx(by_hand / 2)
    assert jensen_shannon(p, q) == pytest.approx(jensen_shannon(q, p))


def test_activation_distance():
    p = np.array([[1.0, 0.0], [0.5, 0.5]])
    assert activation_distance(p, p) == 0
    assert activation_distance(p[:1], p[:1, ::-1]) == pytest.approx(np.sqrt(2))
    assert activation_distance(p, np.full((2, 2), 0.5)) == pytest.approx((np.sqrt(0.5) + 0) / 2)


def test_zero_retrain_forgetting_is_on_the_scale_of_the_paper_and_not_of_its_code():
    p = np.array([[1.0, 0.0, 0.0]])
    assert zero_retrain_forgetting(p, p) == 1
    assert zero_retrain_forgetting(p, p[:, ::-1]) == pytest.approx(1 - np.log(2))  # the code's is 1 - ln 2 / 3


@pytest.mark.parametrize("distance", [jensen_shannon, activation_distance, zero_retrain_forgetting])
def test_other_shapes_are_refused(distance):
    with pytest.raises(ValueError, match="one shape"):
        distance(np.ones((2, 2)), np.ones((2, 3)))
