"""The rise of a curve over the straight line between its ends."""

import pytest

from bench.metrics.barriers import excess


def test_a_hill_rises_over_the_line():
    assert excess([(0.0, 1.0), (0.5, 3.0), (1.0, 2.0)]) == [0.0, 1.5, 0.0]


def test_a_valley_does_not():
    assert excess([(0.0, 2.0), (0.5, 1.0), (1.0, 0.5)]) == pytest.approx([0, -0.25, 0])
