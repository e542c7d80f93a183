"""Lists of rows that scenarios take by name: additions, removals, changes, and their faults."""

import pytest

import bench
from bench import registry
from bench.errors import BenchError, SuiteError
from bench.suite import suite as suites
from bench.suite.keys import row_table, scenario_table

pytestmark = pytest.mark.usefixtures("toy")

SUITE = """
title = "Toy"
[data]
name = "digits"
[rows.usual]
toy-skips = {}
mean = { method = "toy-nearest-mean", search = { shrink = [0.1, 0.2] } }
toy-noisy-mean = {}
[scenarios.hand]
kind = "toy"
methods = [{ rows = "usual" }, "toy-nan"]
[scenarios.swept]
extends = "hand"
trials = 2
[scenarios.changed]
kind = "toy"
methods = ["toy-nan", { rows = "usual", without = ["toy-skips"], change = { mean = { shrink = 0.5 } } }]
[profiles.smoke]
[profiles.cpu.rows.usual.mean]
shrink = 0.25
"""


def rows(path, scenario, profile="smoke"):
    found = suites.load(path, profile).scenarios[scenario].rows
    return {row.label: row for row in found if row.label not in ("toy-constant", "toy-nearest-mean")}


def test_a_scenario_takes_a_list_in_its_order_and_adds_its_own(write_suite):
    taken = rows(write_suite(text=SUITE), "hand")
    assert list(taken) == ["toy-skips", "mean", "toy-noisy-mean", "toy-nan"]
    assert taken["mean"].method == "toy-nearest-mean"


def test_a_scenario_leaves_rows_out_and_changes_others_where_they_stand(write_suite):
    taken = rows(write_suite(text=SUITE), "changed")
    assert list(taken) == ["toy-nan", "mean", "toy-noisy-mean"]
    assert taken["mean"].params == {"shrink": 0.5}


def test_a_search_in_a_list_is_for_boards_with_trials(write_suite):
    path = write_suite(text=SUITE)
    assert rows(path, "hand")["mean"].search == {}
    assert rows(path, "swept")["mean"].search == {"shrink": (0.1, 0.2)}
    assert list(rows(path, "swept")) == list(rows(path, "hand"))


def test_a_profile_changes_a_row_of_a_list_wherever_it_is_taken(write_suite):
    path = write_suite(text=SUITE)
    assert rows(path, "hand", "cpu")["mean"].params == rows(path, "swept", "cpu")["mean"].params == {"shrink": 0.25}
    assert rows(path, "changed", "cpu")["mean"].params == {"shrink": 0.5}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('{ rows = "usual" }', '{ rows = "usul" }', r"\[scenarios.hand.methods\] rows = 'usul' .*did you mean 'usual'"),
        ("toy-skips = {}", "toy-skip = {}", r"\[rows.usual\] unknown method 'toy-skip'; did you mean 'toy-skips'"),
        ("toy-skips = {}", "toy-skips = 3", r"\[rows.usual\] toy-skips must be a table, .* got 3"),
        ("toy-skips = {}", "toy-skips = { slow = 1 }", r"\[rows.usual.toy-skips\] unknown key 'slow'"),
        ("toy-skips = {}", '"a|b" = {}', r"\[rows.usual\] 'a\|b': a label has"),
        ("toy-skips = {}", 'toy-skips = { label = "x" }', r"\[rows.usual.toy-skips\] has a label, and its name here"),
        ("[0.1, 0.2]", "[0.1, 3.0]", r"\[rows.usual.mean.search\] shrink: .*less than or equal to 1.*got 3"),
        ("toy-skips = {}", "kd = {}", r"\[scenarios.hand\] method 'kd' solves .*, not toy"),
        ("[rows.usual]", "[rows]\nusual = [1]\n[rows.more]", r"rows must be tables \[rows.NAME\]"),
        ('without = ["toy-skips"]', 'without = ["toy-skip"]', r"without names 'toy-skip', .*did you mean 'toy-skips'"),
        ("without = [", "witout = [", r"\[scenarios.changed.methods\] unknown key 'witout'; did you mean 'without'"),
        ("change = { mean", "change = { men", r"change names 'men', no row of it; did you mean 'mean'"),
        ("{ shrink = 0.5 }", "{ shrinc = 0.5 }", r"methods\.mean\] unknown key 'shrinc'; did you mean 'shrink'"),
        ("change = { mean", "change = { toy-skips", r"change names 'toy-skips', which `without` leaves out"),
        (
            "{ shrink = 0.5 }",
            '{ label = "x" }',
            r"methods\.change\] mean: label makes another row of it; leave the row out",
        ),
        ('"toy-nan", {', '"toy-noisy-mean", {', r"\[scenarios.changed\] two rows are named 'toy-noisy-mean'"),
        ("cpu.rows.usual.mean", "cpu.rows.usual.men", r"overrides rows.usual.'men', which is not there; did you mean"),
        ("cpu.rows.usual.mean", "cpu.rows.usal.mean", r"overrides rows.'usal', which is not there; did you mean"),
    ],
)
def test_a_fault_is_told(write_suite, old, new, told):
    path = write_suite(text=SUITE.replace(old, new))
    with pytest.raises(SuiteError, match=told):
        for profile in ("smoke", "cpu"):
            suites.load(path, profile)


def test_a_parameter_is_not_named_like_a_key_of_every_row(monkeypatch):
    monkeypatch.setattr(registry.METHODS, "entries", dict(registry.METHODS.entries))

    @bench.method(family="toy", scenario="toy")
    def toy_labels(task, *, label: str = "x"):
        """A label of its own."""

    with pytest.raises(BenchError, match="method 'toy-labels' cannot have a key 'label' of its own"):
        row_table(registry.METHODS.get("toy-labels"))


def test_no_kind_or_method_of_ours_has_a_key_like_a_common_one():
    for entry in registry.SCENARIOS.entries.values():
        scenario_table(entry)
    for entry in registry.METHODS.entries.values():
        row_table(entry)
