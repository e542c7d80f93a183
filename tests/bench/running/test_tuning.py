"""Tuned rows: what is chosen, on which data, and how a bad search is told."""

import pytest
import torch
from pydantic import ValidationError

import bench
from bench.data import load
from bench.data.spec import DataSpec
from bench.errors import BenchError, Skip, SuiteError
from bench.records.store import Store
from bench.running.plan import plan
from bench.running.tuning import choose
from bench.schema.search import Range
from bench.suite import suite as suites

SEARCH = {"x": Range(low=-1.0, high=1.0), "kind": ("flat", "steep")}


def parabola(params):
    return -((params["x"] - 0.3) ** 2) * (10 if params["kind"] == "steep" else 1)


def test_the_best_of_the_trials_is_chosen_and_the_same_seed_chooses_it_again():
    one, two = (choose(SEARCH, 30, parabola, first={}, seed=5) for _ in range(2))
    assert one == two
    assert abs(one.params["x"] - 0.3) < 0.15
    shares, values = zip(*one.best_so_far, strict=True)
    assert shares[-1] == 1
    assert list(values) == sorted(values)
    assert values[-1] == parabola(one.params)


def test_the_rows_own_values_are_the_first_trial():
    seen = []

    def score(params):
        seen.append(params)
        return 0.0

    found = choose(SEARCH, 4, score, first={"x": 0.5, "kind": "flat", "other": 1}, seed=0)
    assert seen[0] == {"x": 0.5, "kind": "flat"}
    assert found.params == seen[0], "of equal trials the earliest"
    seen.clear()
    choose(SEARCH, 2, score, first={"x": 7.0, "kind": "flat"}, seed=0)
    assert seen[0]["x"] != 7.0, "values outside of the search are not tried"


def test_every_row_has_exactly_its_trials_whatever_fails():
    calls = []

    def score(params):
        calls.append(params)
        if len(calls) % 2:
            raise ValueError("singular")
        return params["x"]

    found = choose({"x": Range(low=0.0, high=1.0)}, 10, score, first={}, seed=1)
    assert len(calls) == 10
    assert found.params["x"] == max(c["x"] for c in calls[1::2])
    assert found.best_so_far[0][0] == 0.2, "a curve begins with the first trial that has a score"


def test_a_search_without_any_score_says_why():
    def score(params):
        raise ValueError("singular")

    with pytest.raises(BenchError, match=r"none of 3 trials gave a score; the last raised ValueError: singular"):
        choose(SEARCH, 3, score, first={}, seed=0)


def test_a_method_that_does_not_apply_is_not_tried_again():
    calls = []

    def score(params):
        calls.append(params)
        raise Skip("no heads")

    with pytest.raises(Skip, match="no heads"):
        choose(SEARCH, 3, score, first={}, seed=0)
    assert len(calls) == 1


def test_less_may_be_better_and_whole_numbers_stay_whole():
    found = choose(
        {"n": Range(low=1, high=64, log=True)}, 25, lambda p: abs(p["n"] - 5), first={}, seed=0, higher_is_better=False
    )
    assert isinstance(found.params["n"], int)
    assert abs(found.params["n"] - 5) <= 1


@pytest.mark.parametrize("fields", [{"low": 1.0, "high": 1.0}, {"low": 0.0, "high": 1.0, "log": True}])
def test_a_range_that_is_none_is_refused(fields):
    with pytest.raises(ValidationError, match="low"):
        Range(**fields)


TUNED = (
    'kind = "toy"\ntrials = 3\n'
    'methods = [{ method = "toy-nearest-mean", label = "tuned", shrink = 1.0, search = SEARCH }]'
)


@pytest.fixture
def tuned_suite(toy, write_suite):
    def write(search="{ shrink = [1.0, 0.5] }", old="", new=""):
        path = write_suite()
        text = path.read_text().replace('methods = ["toy-noisy-mean"]', "")
        path.write_text(text.replace('kind = "toy"', TUNED.replace("SEARCH", search)).replace(old, new))
        return path

    return write


def test_a_tuned_row_is_chosen_on_validation_and_scored_on_test(no_workers, toy, tuned_suite, tmp_path):
    path = tuned_suite()
    bench.run(path, "smoke", plugins=[toy], results=tmp_path, jobs=1, seeds=[0])
    records = {r.label: r for r in Store(tmp_path / "toysuite" / "smoke.jsonl").read()}
    record = records["tuned"]
    assert record.params == {"shrink": 0.5}
    assert record.costs["trials"] == 3
    assert record.costs["tuning_seconds"] > 0
    assert record.asked["search"] == {"shrink": [1.0, 0.5]}
    data = load(DataSpec(name="digits"))
    images, labels = data.train.inputs[:200].flatten(1).float() / 255, data.train.labels[:200]
    means = 0.5 * torch.stack([images[labels == c].mean(0) for c in range(10)])

    def accuracy(split):
        z = -torch.cdist(split.inputs.flatten(1).float() / 255, means).square()
        return float((z.argmax(1) == split.labels).double().mean())

    assert record.curves["validation"][-1][1] == accuracy(data.validation)
    assert record.metrics["accuracy"] == accuracy(data.test)
    assert "trials" not in records["toy-constant"].costs


def test_a_search_changes_the_key_and_nothing_else_does(toy, write_suite, tuned_suite):
    def key(path):
        cells = plan(suites.load(path, "smoke")).cells
        return next(c for c in cells if c.row.label == "tuned").key

    keys = {
        key(tuned_suite(search)) for search in ("{ shrink = [1.0, 0.5] }", "{ shrink = { low = 0.0, high = 1.0 } }")
    }
    keys.add(key(tuned_suite(old="trials = 3", new="trials = 4")))
    assert len(keys) == 3
    assert not any("search" in c.asked for c in plan(suites.load(write_suite(), "smoke")).cells)


@pytest.mark.parametrize(
    ("search", "old", "new", "told"),
    [
        ("{ shrinc = [0.1, 0.2] }", "", "", r"methods\.tuned\.search\] unknown key 'shrinc'; did you mean 'shrink'"),
        (
            "{ shrink = [0.1] }",
            "",
            "",
            r"shrink: a range .* or a list of two or more choices .* got \[0\.1\]",
        ),
        ("{ shrink = [0.1, 3.0] }", "", "", r"search\] shrink: .*less than or equal to 1.*got 3\.0"),
        ("{ shrink = { low = 0.1, high = 3.0 } }", "", "", r"search\] shrink: .*less than or equal to 1.*got 3\.0"),
        ("{ shrink = { lo = 0.1, high = 0.3 } }", "", "", r"search\.shrink\] unknown key 'lo'; did you mean 'low'"),
        ("3", "", "", r"methods\.tuned\] search: a table was expected, got 3"),
        ("{ shrink = [0.1, 0.2] }", "trials = 3", "", r"row 'tuned' has a search, and the scenario no trials"),
        ("{ shrink = [0.1, 0.2] }", "trials = 3", "trials = -1", r"trials: .*greater than or equal to 0, got -1"),
        ("{}", "", "", r"trials = 3 and no row with a search"),
    ],
)
def test_a_bad_search_is_told(tuned_suite, search, old, new, told):
    with pytest.raises(SuiteError, match=told):
        suites.load(tuned_suite(search, old, new), "smoke")


def test_a_scenario_extends_another_and_keeps_what_it_does_not_say(toy, write_suite):
    path = write_suite()
    more = '[scenarios.again]\nextends = "hand"\ntitle = "Again"\nmethods = ["toy-skips"]\n'
    more += "[profiles.smoke.scenarios.hand]\nrows = 50"
    path.write_text(path.read_text().replace("[profiles.smoke]", more))
    scenarios = suites.load(path, "smoke").scenarios
    assert scenarios["again"].settings == scenarios["hand"].settings
    assert scenarios["again"].settings.rows == 50, "a profile's override of the one below counts for both"
    assert "toy-skips" in [row.label for row in scenarios["again"].rows]
    path.write_text(path.read_text().replace('extends = "hand"', 'extends = "hant"'))
    with pytest.raises(SuiteError, match=r"\[scenarios\.again\] extends = 'hant'; did you mean 'hand'"):
        suites.load(path, "smoke")
