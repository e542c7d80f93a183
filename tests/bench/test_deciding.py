"""`run --until-decided`: it adds seeds where they decide, stops at the last look, and goes on where it was stopped."""

from pathlib import Path

import pytest

from bench import deciding
from bench.device import Device
from bench.errors import BenchError
from bench.leaderboard import looked
from bench.records.store import Store
from bench.running import runner
from bench.running.cell import Job, run_cell
from bench.running.outcome import Outcome
from bench.running.plan import plan
from bench.suite import suite as suites
from bench.verdicts import history

pytestmark = pytest.mark.usefixtures("toy")

SUITE = """
title = "Toy"
seeds = [0]
[data]
name = "digits"
[scenarios.hand]
kind = "toy"
methods = [
    "toy-noisy-mean",
    { method = "toy-noisy-mean", label = "again" },
    { method = "toy-nearest-mean", label = "unnamed", shrink = 0.5 }, METHODS
]
[claims.means]
paper = "folklore"
says = "A mean beats a constant"
scenario = "hand"
compare = { better = "toy-noisy-mean", worse = "toy-constant" }
[claims.MORE]
paper = "folklore"
says = "Two rows of one method differ"
scenario = "hand"
compare = { better = "BETTER", worse = "toy-noisy-mean" }
[profiles.smoke]
"""


@pytest.fixture(autouse=True)
def in_process(monkeypatch):
    """Cells run here and not in workers, which take seconds to start."""

    def execute(planned, *, results, keep_unvouched, **_):
        outcome = Outcome(planned, runner.store_of(planned, results))
        there = runner.on_record(planned, outcome.store.read(), keep_unvouched).records
        for cell in {cell.key: cell for cell in planned.cells if cell.key not in there}.values():
            record = run_cell(Job(cell, planned.suite.name, planned.suite.profile, Device(), Path()), lambda *_: None)
            outcome.store.append(record)
            outcome.records[cell.key] = record
        return outcome

    monkeypatch.setattr(runner, "execute", execute)


@pytest.fixture
def decide(write_suite, tmp_path, toy):
    """`decide(better, methods)` runs until all is decided -> (what was told, what was left, the records)."""

    def call(better="toy-nearest-mean", methods="", **more):
        text = SUITE.replace("BETTER", better).replace(", METHODS", methods).replace("MORE", "more")
        planned = plan(suites.load(write_suite(text=text), "smoke"))
        told = []
        options = {"results": tmp_path / "results", "jobs": 1, "plugins": [toy], "tell": told.append} | more
        found = deciding.until_decided(planned, **options)
        path = tmp_path / "results" / "toysuite" / "smoke.jsonl"
        return told, found, Store(path).read(), history.read(looked.path_of(path))

    return call


def seeds(records, label):
    return sorted(r.seed for r in records if r.label == label)


def test_seeds_are_added_up_to_the_look_that_decides(decide):
    told, found, records, looks = decide()
    assert found.failed == 0
    assert seeds(records, "toy-constant") == [0, 1, 2]
    assert seeds(records, "unnamed") == [0]  # no claim names it
    assert (looks[0].claim, looks[0].n, looks[0].answer) == ("means", 3, "holds")
    more = [e for e in looks if e.claim == "more"]
    assert [e.n for e in more] == [3, 6, 12][: len(more)]
    assert len(seeds(records, "toy-nearest-mean")) == more[-1].n
    assert told[0].startswith("2 claims may be decided by more seeds")
    assert found.lines[0].endswith("of 2 claims are decided")


def test_what_is_decided_runs_no_more_and_what_was_stopped_goes_on(decide):
    first = decide(budget=1e-9)
    assert seeds(first[2], "toy-constant") == [0]
    assert first[1].lines == [
        "0 of 2 claims are decided",
        "  undecided, since they do not fit into the budget: means, more",
    ]
    _, _, records, looks = decide()
    _, _, again, same = decide()
    assert (len(again), same) == (len(records), looks)


def test_rows_that_are_equal_seed_by_seed_are_not_run_in_vain(decide):
    _, found, records, looks = decide("again")
    assert {record.seed for record in records} == {0, 1, 2}
    assert [e.answer for e in looks if e.claim == "more"] == ["undecided"]
    assert found.lines[-1] == "  undecided, since more seeds tell nothing of them: more"


def test_cells_that_fail_are_tried_once_and_told(decide):
    _, found, records, _ = decide("toy-raises", ', "toy-raises"')
    assert seeds(records, "toy-raises") == [0]
    assert found.failed == 1
    assert found.lines[-1] == "  undecided, since cells failed, or were skipped, that the next look waits for: more"
    _, _, again, _ = decide("toy-raises", ', "toy-raises"')
    assert seeds(again, "toy-raises") == [0, 0]
    assert len(again) == len(records) + 1


def test_a_dry_run_shows_the_plan_and_runs_nothing(write_suite, tmp_path, toy):
    planned = plan(suites.load(write_suite(text=SUITE.replace("BETTER", "again").replace(", METHODS", "")), "smoke"))
    lines = list(deciding.dry_run_lines(planned, tmp_path / "results", 1, "auto"))
    assert lines[0].startswith("2 claims may be decided by more seeds")
    assert lines[1].startswith("  means: first look at 3 seeds, 6 more cells and models, about ")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(("text", "seconds"), [("4h", 14400), ("30min", 1800), ("90s", 90), ("1.5h", 5400)])
def test_a_budget_is_a_time(text, seconds):
    assert deciding.budget(text) == seconds


@pytest.mark.parametrize("text", ["4", "h", "-1h", "nan h", "infh", "4 days"])
def test_another_budget_is_refused(text):
    with pytest.raises(BenchError, match="no time like 4h, 30min or 90s"):
        deciding.budget(text)
