"""Records outlive code that gives the same numbers, and only such code."""

import json
from dataclasses import replace

import pytest

from bench import registry
from bench.device import Device
from bench.digests import walk
from bench.errors import BenchError
from bench.records import vouches
from bench.records.store import Store
from bench.running.cell import Job, run_cell
from bench.running.cell_code import values
from bench.running.plan import plan
from bench.running.progress import Silent
from bench.running.runner import on_record, stale_lines
from bench.suite import suite as suites
from bench.vouching import vouch

PLUGIN = """
import torch
from bench import method
import vouched_helper


@method(family="toy", scenario="toy", access={"labels"})
def helped_mean(task):
    '''Nearest class mean, by a helper.'''
    from tests_toy import Means
    x = task.inputs.flatten(1).float() / 255
    return Means(vouched_helper.means(x, task.labels, task.num_classes))
"""
HELPER = """
import torch

def means(x, labels, classes):
    return torch.stack([x[labels == c].mean(0) for c in range(classes)])
"""
OTHER_WORDS = HELPER.replace("x[labels == c].mean(0)", "x[c == labels].mean(0)")
OTHER_NUMBERS = HELPER.replace("mean(0)", "median(0).values")


@pytest.fixture
def edit(toy, tmp_path, monkeypatch):
    """`edit(text)` writes the helper of a plug-in, which is loaded anew."""
    import sys

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "tests_toy", sys.modules["bench_plugin_toy"])
    monkeypatch.setattr(vouches, "FILE", tmp_path / "vouched.jsonl")
    (tmp_path / "plug.py").write_text(PLUGIN)

    def write(text):
        (tmp_path / "vouched_helper.py").write_text(text)
        sys.modules.pop("vouched_helper", None)
        walk.forget()
        registry.load_plugin(tmp_path / "plug.py")

    yield write
    registry.METHODS.entries.pop("helped-mean", None)
    walk.forget()


@pytest.fixture
def here(edit, write_suite, tmp_path, monkeypatch):
    """`here()` plans a suite with that method; `here.run()` files records, computed in this process."""
    edit(HELPER)
    path = write_suite(methods=["helped-mean"])
    store = Store(tmp_path / "results" / "toysuite" / "smoke.jsonl")

    def planned():
        return plan(suites.load(path, "smoke"))

    def compute(cells, suite):
        return {c.key: run_cell(Job(c, suite, "smoke", Device(), tmp_path / "zoo"), lambda *_: None) for c in cells}

    def rerun(planned, cells, *, report=None, **_):
        records = compute(cells, planned.suite.name)
        for cell in cells:
            report.finished(cell, records[cell.key])
        return records

    def run():
        for record in compute(planned().cells, "toysuite").values():
            store.append(record)

    monkeypatch.setattr(vouch, "rerun", rerun)
    planned.run, planned.store, planned.results = run, store, tmp_path / "results"
    return planned


def vouch_for(here):
    return vouch.vouch(here(), results=here.results, jobs=1, device="cpu", plugins=[], report=Silent())


def stale(here):
    found = on_record(here(), here.store.read())
    return sorted({c.row.label for c in here().cells if c.key in found.stale})


def test_what_a_plug_in_imports_is_in_its_records(here, edit):
    here.run()
    assert stale(here) == []
    edit(OTHER_NUMBERS)
    assert stale(here) == ["helped-mean"]
    found = on_record(here(), here.store.read())
    [line] = stale_lines(found.stale)
    assert line.startswith("2 cells on record stand on other code, and nobody vouches for it; moved: method")
    assert len(on_record(here(), here.store.read(), keep_unvouched=True).records) == 6


def test_code_that_gives_the_same_is_vouched_for_by_one_cell_a_stratum(here, edit):
    here.run()
    before = here.store.path.read_bytes()
    edit(OTHER_WORDS)
    found = vouch_for(here)
    assert [len(stratum.pairs) for stratum in found.vouched] == [2]
    assert [stratum.moved for stratum in found.vouched] == [("method",)]
    assert stale(here) == []
    assert here.store.path.read_bytes() == before  # records are never rewritten
    [line] = map(json.loads, vouches.FILE.read_text().splitlines())
    assert line["cells"] == ["toysuite: hand/helped-mean/0"]
    assert line["environment"] == here().cells[0].asked["environment"]
    assert vouch_for(here).vouched == []


def test_what_was_vouched_for_before_is_still_and_every_line_leads_from_the_record(here, edit):
    here.run()
    for text in (OTHER_WORDS, HELPER.replace("torch.stack", "1 * torch.stack"), HELPER + "\n", OTHER_WORDS):
        edit(text)
        vouch_for(here)
        assert stale(here) == []
    record = next(r for r in here.store.read() if r.label == "helped-mean")
    edit(HELPER.replace("torch.stack", "1 * torch.stack"))
    cell = next(c for c in here().cells if c.key == record.key)
    assert len(vouches.Vouches.shipped().chain(record, values(cell.digests))) == 1


def test_code_that_gives_something_else_is_not_and_its_records_run_again(here, edit):
    here.run()
    edit(OTHER_NUMBERS)
    with pytest.warns(UserWarning, match="hand/helped-mean/0 is not what it was: accuracy"):
        found = vouch_for(here)
    assert found.vouched == []
    assert list(found.refused) == ["hand/helped-mean/0"]
    assert "accuracy 0." in found.refused["hand/helped-mean/0"]
    assert stale(here) == ["helped-mean"]
    assert not vouches.FILE.exists()


def test_a_vouch_holds_for_its_environment_alone(here, edit):
    here.run()
    edit(OTHER_WORDS)
    vouch_for(here)
    record = next(r for r in here.store.read() if r.label == "helped-mean")
    cell = next(c for c in here().cells if c.key == record.key)
    known = vouches.Vouches.shipped()
    assert known.stand(record, values(cell.digests))
    elsewhere = record.model_copy(update={"asked": record.asked | {"environment": "arm64-native-asimd"}})
    assert not known.stand(elsewhere, values(cell.digests))


def test_a_machine_that_computes_otherwise_vouches_for_nothing(here, edit, monkeypatch):
    here.run()
    edit(OTHER_WORDS)
    monkeypatch.setattr(vouch, "provenance", lambda: {"machine": "another", "commit": "c", "dirty": False})
    assert len(vouch_for(here).vouched) == 1  # unchanged cells came out equal first
    edit(HELPER.replace("torch.stack", "2 * 0.5 * torch.stack"))
    monkeypatch.setattr(vouch, "differ", lambda *_: "other last digits")
    with pytest.raises(BenchError, match="stands on unchanged code and does not come out as on record here"):
        vouch_for(here)


def test_boards_of_seconds_are_counted_and_not_vouched_for(here, edit):
    here.run()
    edit(OTHER_WORDS)
    planned = here()
    records = [r.model_copy(update={"asked": r.asked | {"settings": {"seconds": 1.0}}}) for r in here.store.read()]
    assert vouch.strata(planned, records) == ([], 2)


def test_a_skipped_row_is_tried_too(here, edit):
    here.run()
    [stratum], _ = _strata_of(here, edit)
    skipped = [(c, r.model_copy(update={"status": "skipped", "reason": "no"})) for c, r in stratum.pairs]
    both = replace(stratum, pairs=[*stratum.pairs, *skipped])
    assert {record.status for _, record in both.sample()} == {"ok", "skipped"}


def _strata_of(here, edit):
    edit(OTHER_WORDS)
    return vouch.strata(here(), here.store.read())


def test_half_a_line_that_a_killed_vouch_left_costs_nothing(here, edit):
    here.run()
    vouches.FILE.write_text('{"old":{"har')
    assert stale(here) == []
    edit(OTHER_WORDS)
    vouch_for(here)
    assert stale(here) == []
    assert len(vouches.FILE.read_text().splitlines()) == 1


def test_each_set_of_parameters_is_tried_since_they_choose_the_code(here, edit):
    here.run()
    [stratum], _ = _strata_of(here, edit)
    other = [
        (cell, record.model_copy(update={"asked": record.asked | {"params": {"reg": 0.05}}}))
        for cell, record in stratum.pairs
    ]
    both = replace(stratum, pairs=[*stratum.pairs, *other])
    assert [record.asked["params"] for _, record in both.sample()] == [{}, {"reg": 0.05}]
    assert {record.seed for _, record in both.sample()} == {0}
