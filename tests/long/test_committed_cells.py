"""A seeded sample of committed cells comes out as it is on record, to the last digit."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bench.data.identity import identify
from bench.environment import PINNED, kind
from bench.errors import DataError
from bench.records.store import Store
from bench.running.plan import plan
from bench.running.progress import Silent
from bench.suite import suite as suites
from bench.vouching.reproduce import line, reproduce

RESULTS = Path(__file__).parents[2] / "results"
SAMPLE = 6
"""Cells a suite: forty over all of them."""
PLACES = {name: os.environ[name] for name in ("BENCH_DATA", "BENCH_CACHE") if name in os.environ}
"""Where data and standard models really lie; `tests/conftest.py` hides both from tests."""


def there(name: str) -> bool:
    """Whether the data of a suite are on this machine."""
    suite = suites.load(name, "cpu")
    wanted = [suite.data, *suite.datasets.values()]
    try:
        return all(identify(spec).stand_in_for is None for spec in wanted)
    except DataError:
        return False


@pytest.mark.skipif(kind("cpu") != PINNED, reason="another environment computes other last digits")
@pytest.mark.parametrize("name", ["digits", "cifar", "datafree", "fusion", "merging", "squeezing", "unlearning"])
def test_a_sample_comes_out_equal(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, folder in PLACES.items():
        monkeypatch.setenv(variable, folder)
    if not there(name):
        pytest.skip(f"the data of {name} are not on this machine; set BENCH_DATA")
    records = Store(RESULTS / name / "cpu.jsonl").read()
    if any(record.environment != PINNED for record in records):
        pytest.skip(f"{name} has records of another environment, which wait for their turn to be computed again")
    planned = plan(suites.load(name, "cpu"), tuple(sorted({record.seed for record in records})))
    timeless = tuple(cell for cell in planned.cells if cell.asked["settings"].get("seconds") is None)
    some = replace(planned, cells=timeless)
    found = reproduce(some, results=RESULTS, sample=SAMPLE, jobs=None, device="cpu", plugins=[], report=Silent())
    assert len(found) == SAMPLE
    assert [line(one) for one in found if one.difference is not None] == []
