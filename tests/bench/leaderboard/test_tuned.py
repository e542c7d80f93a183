"""Boards whose rows were tuned: which records count, and that every form says what was chosen."""

import csv
import dataclasses
import json

import pytest

from bench.leaderboard import chart, tuned, write
from bench.leaderboard.building import build
from bench.leaderboard.selection import select
from bench.schema.search import Range
from bench.suite.scenarios import given_board

from .conftest import asked_of

SEARCH = {"share": Range(low=0.1, high=1.0, log=True), "mode": ("a", "b")}
TOLD = {"search": {"share": {"low": 0.1, "high": 1.0, "log": True}, "mode": ["a", "b"]}, "trials": 20}
COSTS = {"seconds": 2.0, "tuning_seconds": 40.0, "trials": 20}


@pytest.fixture
def tuned_suite(suite):
    """`gram` searches for two parameters and is given a third, `transport` is as it is given."""
    own = suite.scenarios["skewed"]
    rows = tuple(
        dataclasses.replace(row, search=SEARCH, params={"share": 0.9, "mode": "a", "steps": 5})
        if row.label == "gram"
        else row
        for row in own.rows
    )
    return dataclasses.replace(
        suite, scenarios=suite.scenarios | {"skewed": dataclasses.replace(own, rows=rows, trials=20)}
    )


@pytest.fixture
def chosen(record):
    """`chosen(seed, share, mode)`: a record of `gram`."""

    def make(seed, share=0.2, mode="b", steps=5, told=TOLD, **more):
        params = {"share": share, "mode": mode, "steps": steps}
        curves = {"validation": [(0.5, 0.6), (1.0, 0.7 + seed / 10)]}
        return record(
            "gram",
            seed,
            60,
            params=params,
            given=params | {"share": 0.9, "mode": "a"},
            **told,
            curves=curves,
            costs=COSTS,
            **more,
        )

    return make


def selected(suite, records):
    return select(suite, records, asked_of(suite, records))


def test_records_count_whatever_they_chose(tuned_suite, chosen, record):
    records = [chosen(0, 0.2, "a"), chosen(1, 0.51234567, "b"), record("transport", 0, 50)]
    selection = selected(tuned_suite, records)
    assert sorted(selection.cells["skewed", "gram"]) == [0, 1]
    assert sorted(selection.cells["skewed", "transport"]) == [0]
    assert selection.set_aside == ()


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 6},  # a parameter that is given, and is another one now
        {"told": TOLD | {"trials": 10}},
        {"told": TOLD | {"search": {"mode": ["a", "b"]}}},
        {"told": {}},  # it was not tuned
    ],
)
def test_records_of_another_search_are_set_aside(tuned_suite, chosen, change):
    assert selected(tuned_suite, [chosen(0, **change)]).cells == {}


def test_a_tuned_record_does_not_count_on_a_board_that_tunes_nothing(suite, record):
    assert selected(suite, [record("gram", 0, 50, **TOLD)]).cells == {}


def test_each_form_of_a_board_says_what_was_chosen(tuned_suite, chosen, record, tmp_path):
    board = build(tuned_suite, [chosen(0, 0.2), chosen(1, 0.51234567, "a"), record("transport", 0, 50)])
    section = board.sections[0]
    assert tuned.chosen(section) == [
        ("gram", "share", "0.1 to 1, by its logarithm", ["0.2", "0.5123"]),
        ("gram", "mode", '"a", "b"', ['"b"', '"a"']),
    ]
    files = {path.suffix: path.read_text(encoding="utf-8") for path in write(board, tmp_path)}
    skewed, other = (block for block in files[".md"].split("\n## ") if block.startswith(("skewed", "class")))
    assert "**Tuned: each row gets 20 validation trials. The best accuracy on validation examples chooses" in skewed
    assert "2 ranked rows have no search" in skewed
    assert "tuning s" in skewed
    assert "0.5123" in skewed
    assert "Tuned" not in other
    assert "tuning s" not in other
    page = files[".html"]
    assert "join, tuned</span>" in page
    assert "Tuned: each row gets 20 validation trials" in page
    assert "<td>0.5123</td>" in page
    assert "<dt>Tuned boards</dt>" in page
    assert "<dt>Synth. and distill.</dt>" not in page
    lines = {(line["scenario"], line["label"]): line for line in csv.DictReader(files[".csv"].splitlines())}
    gram = lines["skewed", "gram"]
    assert gram["trials"] == "20"
    assert json.loads(gram["chosen"])["1"] == {"share": 0.51234567, "mode": "a"}
    assert float(gram["tuning_seconds"]) == 40
    assert lines["skewed", "transport"]["chosen"] == ""


def held_against(tuned_suite, *given):
    """The suite with `skewed` as a board of defaults that has these rows, and the tuned one as `skewed-tuned`."""
    tuned_board = tuned_suite.scenarios["skewed"]
    rows = tuple(row for row in tuned_board.rows if row.label != "gram") + given
    scenarios = {
        "skewed": dataclasses.replace(tuned_board, rows=rows, trials=0),
        "skewed-tuned": dataclasses.replace(tuned_board, name="skewed-tuned", extends="skewed"),
        "again": dataclasses.replace(tuned_board, name="again", extends="skewed-tuned", trials=3),
    }
    return dataclasses.replace(tuned_suite, scenarios=scenarios, claims=())


def test_a_tuned_row_stands_beside_itself_without_its_search(tuned_suite, chosen, record, tmp_path):
    (gram,) = (row for row in tuned_suite.scenarios["skewed"].rows if row.label == "gram")
    as_given = dataclasses.replace(gram, search={})
    suite = held_against(tuned_suite, as_given)
    assert given_board(suite.scenarios["again"], suite.scenarios) is suite.scenarios["skewed"]
    assert given_board(suite.scenarios["skewed"], suite.scenarios) is None
    before = [record("gram", seed, 50 + seed, params=as_given.params) for seed in (0, 1)]
    after = [chosen(seed, scenario="skewed-tuned") for seed in (0, 1)]
    board = build(suite, [*before, *after, record("transport", 0, 50, scenario="skewed-tuned")])
    section = board.sections[1]
    rows = {row.label: row for row in section.rows}
    assert rows["gram"].default.mean == pytest.approx(0.505)
    assert rows["gram"].gained.mean == pytest.approx(0.095)
    assert rows["gram"].gained.seeds == 2
    assert rows["transport"].default is None
    assert not tuned.beside_default(board.sections[0])
    files = {path.suffix: path.read_text(encoding="utf-8") for path in write(board, tmp_path)}
    assert files[".md"].count("tuning gains (95 %)") == files[".html"].count("tuning gains (95 %)") == 1
    assert "| 50.5 | +9.5" in " ".join(files[".md"].split())
    assert '<td data-v="0.505">50.5</td>' in files[".html"]
    lines = {(line["scenario"], line["label"]): line for line in csv.DictReader(files[".csv"].splitlines())}
    assert lines["skewed-tuned", "gram"]["gained"] == "0.095000"
    assert lines["skewed-tuned", "transport"]["gained"] == ""


@pytest.mark.parametrize("change", [{"label": "other"}, {"method": "fisher"}, {"params": {"share": 0.9, "steps": 6}}])
def test_another_row_is_not_taken_for_the_default(tuned_suite, change):
    (gram,) = (row for row in tuned_suite.scenarios["skewed"].rows if row.label == "gram")
    like = dataclasses.replace(gram, search={}, params={"share": 0.1, "mode": "b", "steps": 5})
    assert tuned.same_but_for_search(gram, [like])
    assert not tuned.same_but_for_search(gram, [dataclasses.replace(like, **change)])
    assert not tuned.same_but_for_search(like, [gram])


def test_validation_scores_have_a_chart_in_the_headlines_unit(tuned_suite, chosen):
    (drawn,) = chart.charts(build(tuned_suite, [chosen(0), chosen(1)]).sections[0])
    assert (drawn.title, drawn.unit) == ("best accuracy so far on validation examples", ", %")
    assert (drawn.over, drawn.share) == ("the trials", "share of the trials")
    assert drawn.y_ticks[0][1] == "60"
    assert drawn.lines[0].end[0] == chart.RIGHT


def test_a_row_tuned_in_another_environment_than_its_default_gains_nothing_and_is_named(tuned_suite, chosen, record):
    (gram,) = (row for row in tuned_suite.scenarios["skewed"].rows if row.label == "gram")
    as_given = dataclasses.replace(gram, search={})
    suite = held_against(tuned_suite, as_given)
    before = [record("gram", seed, 50, params=as_given.params, environment="x86_64-native-avx512f") for seed in (0, 1)]
    after = [chosen(seed, scenario="skewed-tuned") for seed in (0, 1)]
    section = build(suite, [*before, *after]).sections[1]
    assert next(row for row in section.rows if row.label == "gram").gained is None
    assert section.notes == (
        "Not paired with the same row in skewed on seeds 0, 1 (x86-64-avx2 and x86_64-native-avx512f): gram",
    )
