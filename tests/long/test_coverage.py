"""The published coverage of verdicts, simulated again in full (some minutes)."""

from __future__ import annotations

import pytest

from bench.verdicts.coverage import SETTINGS, Coverage, published, simulate
from bench.verdicts.looks import schedule


@pytest.mark.parametrize("found", published(), ids=lambda c: f"{c.setting}-{c.looks[-1]}")
def test_the_published_coverage_comes_out_again(found: Coverage) -> None:
    (setting,) = [s for s in SETTINGS if s.name == found.setting]
    again = simulate(setting, schedule(found.looks))
    assert (*again.at, again.at_all) == pytest.approx((*found.at, found.at_all), abs=1e-3)
