"""q-values by hand, and the line of a page."""

from __future__ import annotations

import pytest

from bench.verdicts.looks import schedule
from bench.verdicts.multiplicity import expected_wrong, q_values, told


def test_by_hand() -> None:
    """p sorted .01 .02 .03 .5, times 4/1 4/2 4/3 4/4, and the least from there on."""
    found = q_values({"c": 0.03, "a": 0.01, "d": 0.5, "b": 0.02})
    assert found == pytest.approx({"c": 0.04, "a": 0.04, "d": 0.5, "b": 0.04})
    assert list(found) == ["c", "a", "d", "b"]


def test_what_was_not_judged_counts_for_nobody() -> None:
    assert q_values({"a": 0.01, "b": None, "c": 0.02}) == {"a": pytest.approx(0.02), "b": None, "c": 0.02}
    assert q_values({"a": None}) == {"a": None}
    assert q_values({}) == {}


def test_expected_wrong() -> None:
    assert expected_wrong(143, schedule()) == pytest.approx(7.15, abs=0.02)
    assert told(143, schedule()) == "Of 143 judged claims, at most 7.2 are expected to be wrong (0.050 each)."
    assert "(0.071 each)" in told(143, schedule(added=(24,)))
