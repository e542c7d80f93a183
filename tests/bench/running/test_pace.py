"""The time left of a run: learnt as it goes, and told in piped output too."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from bench.running.pace import Pace
from bench.running.progress import Terminal


def cell(scenario, label, seed):
    name = f"{scenario}/{label}/{seed}"
    return SimpleNamespace(
        key=name, name=name, scenario=SimpleNamespace(name=scenario), row=SimpleNamespace(label=label)
    )


CELLS = [cell("easy", "a", 0), cell("easy", "a", 1), cell("easy", "b", 0), cell("hard", "c", 0)]


def test_nothing_is_guessed_before_anything_is_known():
    assert Pace(CELLS, {}, 0, 1).left() is None
    assert Pace(CELLS, {cell.key: 2.0 for cell in CELLS}, 3, 1).left() is None  # models of unknown cost
    assert Pace([], {}, 0, 1).left() == 0


def test_the_row_comes_first_then_records_then_the_scenario_then_the_run():
    pace = Pace(CELLS, {"easy/a/1": 100.0}, 0, 1)
    assert pace.left() == 300 + 100  # one is known, three are taken to be like it
    pace.cell(CELLS[0], 4.0)
    assert pace.left() == pytest.approx(4 + 4 + 4)  # its own row in this run, its scenario, all there is
    pace.cell(CELLS[2], 8.0)
    assert pace.left() == pytest.approx(4 + 6)
    pace.cell(CELLS[1], None)
    assert pace.left() == pytest.approx(6)


def test_before_any_cell_is_done_a_cell_is_taken_for_a_model():
    pace = Pace(CELLS, {}, 3, 1)
    for seconds in (60.0, 1.0, 2.0):  # the first has waited for its worker to start
        pace.model(seconds)
    assert pace.left() == pytest.approx(4 * 2)


def test_models_and_jobs_count():
    pace = Pace(CELLS, {cell.key: 1.0 for cell in CELLS}, 3, 2)
    pace.model(5.0)
    assert pace.left() == pytest.approx((4 + 2 * 5) / 2)


def test_piped_output_has_counts_and_the_time_left():
    out = io.StringIO()
    terminal = Terminal(Console(file=out, width=200, force_terminal=False), 1)
    terminal.pace, terminal.total = Pace(CELLS, {cell.key: 10.0 for cell in CELLS}, 2, 1), 4
    terminal.trained(SimpleNamespace(describe=lambda: "a net"), 3.0)
    terminal.finished(CELLS[0], SimpleNamespace(status="skipped", reason="no class", kind="x", provenance={}))
    assert out.getvalue().splitlines() == [
        "  zoo   [1/2] a net is trained  3.0 s, about 43 s left",
        "  skip  [1/4] easy/a/0  no class, about 33 s left",
    ]
