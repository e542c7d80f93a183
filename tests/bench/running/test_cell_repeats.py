"""A scenario may want its method run on further tasks for the score alone."""

from dataclasses import replace

import pytest
import torch

from bench import registry
from bench.device import Device
from bench.errors import Skip
from bench.running.cell import Job, part_of, run_cell
from bench.running.plan import plan
from bench.suite import suite as suites

MORE = 3


@pytest.fixture
def kind(toy, monkeypatch):
    """The toy scenario with three repeats, each on rows of its own; what scoring was handed is kept in `handed`."""
    settings = registry.SCENARIOS.get("toy").settings
    prepare, score = settings.prepare, settings.score
    handed = []

    def with_repeats(self, lab):
        situation, train = prepare(self, lab), lab.dataset.train
        repeats = [
            {"inputs": lambda k=k: train.inputs[k::7], "labels": lambda k=k: train.labels[k::7]} for k in range(MORE)
        ]
        return replace(situation, repeats=repeats, costs={"retraining_seconds": 2.5})

    def remember(self, situation, result, lab):
        handed.append((result, situation.repeated))
        return score(self, situation, result, lab)

    monkeypatch.setattr(settings, "prepare", with_repeats)
    monkeypatch.setattr(settings, "score", remember)
    return handed


@pytest.fixture
def run(write_suite, tmp_path):
    def call(method, more=""):
        suite = suites.load(write_suite(methods=[method], more=more), "smoke")
        cell = next(c for c in plan(suite).cells if c.row.method == method)
        told = []
        job = Job(cell, suite.name, suite.profile, Device(), tmp_path / "zoo")
        return run_cell(job, lambda done, total: told.append((done, total))), told

    return call


def test_the_score_is_handed_what_the_method_makes_of_every_repeat(kind, run):
    record, _ = run("toy-noisy-mean")
    assert record.status == "ok", record.reason
    [(result, repeated)] = kind
    assert len(repeated) == MORE
    means = [m.means for m in (result, *repeated)]
    assert not any(torch.equal(a, b) for i, a in enumerate(means) for b in means[:i])


def test_repeats_are_the_same_in_every_run_and_leave_the_method_as_it_is_without_them(kind, run, monkeypatch):
    for _ in range(2):
        run("toy-noisy-mean")
    (result, repeated), (again, again_repeated) = kind
    assert torch.equal(result.means, again.means)
    assert all(torch.equal(a.means, b.means) for a, b in zip(repeated, again_repeated, strict=True))
    monkeypatch.undo()
    alone = registry.SCENARIOS.get("toy").settings
    kept = []
    score = alone.score
    monkeypatch.setattr(alone, "score", lambda self, s, r, lab: kept.append(r) or score(self, s, r, lab))
    run("toy-noisy-mean")
    assert torch.equal(kept[0].means, result.means)


def test_each_repeat_has_draws_of_its_own(kind, run, monkeypatch):
    """On equal rows too."""
    settings = registry.SCENARIOS.get("toy").settings
    prepare = settings.prepare

    def on_the_same_rows(self, lab):
        situation = prepare(self, lab)
        return replace(situation, repeats=[situation.providers] * MORE)

    monkeypatch.setattr(settings, "prepare", on_the_same_rows)
    run("toy-noisy-mean")
    [(result, repeated)] = kind
    assert len({tuple(m.means.flatten().tolist()) for m in (result, *repeated)}) == 1 + MORE


def test_repeats_cost_the_method_nothing_and_their_seconds_are_told(kind, run, monkeypatch, clock):
    method = registry.METHODS.get("toy-noisy-mean")
    calls = []

    def slow(task):
        calls.append(len(task.labels))
        clock.passes(0.25 if len(calls) == 1 else 4)
        return method.function(task)

    monkeypatch.setitem(registry.METHODS.entries, "toy-noisy-mean", replace(method, function=slow))
    record, _ = run("toy-noisy-mean")
    assert record.status == "ok", record.reason
    assert len(calls) == 1 + MORE
    assert record.costs["seconds"] == 0.25
    assert record.costs["repeat_seconds"] == MORE * 4
    assert record.costs["retraining_seconds"] == 2.5
    assert not [name for name in record.metrics if "seconds" in name]


def test_progress_is_shared_out(kind, run):
    _, told = run("toy-nearest-mean")
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    seen = []
    progress = part_of(lambda done, total: seen.append((done, total)), 2, 3)
    progress(0, 10)
    progress(10, 10)
    assert seen == [(20, 30), (30, 30)]


def test_without_repeats_progress_is_what_the_method_tells(toy, run):
    _, told = run("toy-nearest-mean")
    assert told == [(1, 1)]


@pytest.mark.parametrize("error", [ValueError("singular"), Skip("not here")])
def test_a_repeat_that_fails_fails_the_cell_and_is_named(kind, run, monkeypatch, error):
    method = registry.METHODS.get("toy-noisy-mean")
    calls = []

    def breaks(task):
        calls.append(1)
        if len(calls) == 3:
            raise error
        return method.function(task)

    monkeypatch.setitem(registry.METHODS.entries, "toy-noisy-mean", replace(method, function=breaks))
    record, _ = run("toy-noisy-mean")
    assert record.status == "failed"
    assert f"repeat 2 of 3: {type(error).__name__}: {error} (test_cell_repeats.py:" in record.reason
    assert kind == [], "nothing is scored"


def test_trials_of_a_search_run_no_repeats(kind, run, write_suite):
    text = write_suite(methods=["toy-nearest-mean"]).read_text()
    text = text.replace('kind = "toy"', 'kind = "toy"\ntrials = 2')
    text = text.replace("['toy-nearest-mean']", '[{ method = "toy-nearest-mean", search = { shrink = [0.0, 0.5] } }]')
    suite = suites.load(write_suite(text=text), "smoke")
    [cell] = [c for c in plan(suite, (0,)).cells if c.row.search]
    record = run_cell(Job(cell, suite.name, suite.profile, Device(), write_suite().parent / "zoo"), lambda *_: None)
    assert record.status == "ok", record.reason
    assert [len(repeated) for _, repeated in kind] == [0, 0, MORE]
