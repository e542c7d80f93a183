import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.metrics.calibration import expected_calibration_error


def textbook(confidence, correct, bins):
    """Equation 3 of Guo et al., bin by bin."""
    total = 0.0
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        inside = (confidence > low) & (confidence <= high) | ((b == 0) & (confidence == 0))
        if inside.any():
            total += inside.mean() * abs(confidence[inside].mean() - correct[inside].mean())
    return total


@given(st.data())
@settings(max_examples=60)
def test_equals_the_textbook_on_edges_too(data):
    bins = data.draw(st.integers(1, 20))
    edges = st.integers(0, bins).map(lambda b: b / bins)
    confidence = np.array(data.draw(st.lists(st.one_of(edges, st.floats(0, 1)), min_size=1, max_size=60)))
    correct = np.array(data.draw(st.lists(st.booleans(), min_size=len(confidence), max_size=len(confidence))))
    assert expected_calibration_error(confidence, correct, bins) == pytest.approx(
        textbook(confidence, correct, bins), abs=1e-12
    )


@pytest.mark.parametrize("bins", [1, 7, 10, 15, 100])
def test_edges_belong_to_the_bin_below(bins):
    # All of a bin right and its upper edge as confidence: the error is the mean distance of the edges from 1.
    edges = np.arange(1, bins + 1) / bins
    value = expected_calibration_error(edges, np.ones(bins), bins)
    assert value == pytest.approx(1 - edges.mean(), abs=1e-12)
    pair = np.concatenate([edges, edges - 0.25 / bins])
    hit = np.concatenate([np.ones(bins), np.zeros(bins)])
    assert expected_calibration_error(pair, hit, bins) == pytest.approx(textbook(pair, hit, bins), abs=1e-12)


def test_perfectly_calibrated_is_zero_and_sure_but_wrong_is_one():
    assert expected_calibration_error([0.5, 0.5], [1, 0]) == 0
    assert expected_calibration_error([1.0, 1.0], [0, 0]) == 1


def test_float32_rounding_past_one_is_accepted():
    assert expected_calibration_error(np.array([1 + 1e-7]), [True]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("confidence", "correct", "bins", "message"),
    [
        ([], [], 15, "confidence must be one axis of at least one number"),
        ([0.5], [True, False], 15, r"one shape, got \(1,\) and \(2,\)"),
        ([1.5], [True], 15, r"confidence must lie in \[0, 1\], got 1.5"),
        ([-0.5], [True], 15, r"confidence must lie in \[0, 1\]"),
        ([float("nan"), 0.5], [True, True], 15, "1 NaN of 2"),
        ([0.5], [2], 15, "correct must hold 0 and 1 only, got"),
        ([0.5], [True], 0, "bins must be at least 1"),
    ],
)
def test_bad_input_is_named(confidence, correct, bins, message):
    with pytest.raises(ValueError, match=message):
        expected_calibration_error(confidence, correct, bins)
