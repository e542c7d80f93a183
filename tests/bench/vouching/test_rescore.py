"""Kept results are scored again without running their methods."""

import pytest

from bench.running import kept
from bench.running.plan import plan
from bench.running.progress import Silent
from bench.running.runner import execute, store_of
from bench.suite import suite as suites
from bench.vouching.rescore import rescore

SUITE = "digits"
SOME = {"path": "fuse-iid/*rebasin*/0", "trace": "datafree/kd-noise/0"}
"""Rows whose barriers come from what their path was told, and whose trace comes from looks in the run."""
HANGS_ON = {"path": "barrier", "trace": "worst_drop"}


@pytest.fixture(scope="module", params=list(SOME))
def run_once(request, tmp_path_factory):
    """A plan, the folder of its records, and the cache with their results."""
    with pytest.MonkeyPatch.context() as patch:
        cache = tmp_path_factory.mktemp("cache")
        patch.setenv("BENCH_CACHE", str(cache))
        planned = plan(suites.load(SUITE, "smoke"), only=SOME[request.param])
        results = tmp_path_factory.mktemp("results")
        execute(planned, results=results, jobs=1)
    return planned, results, cache


@pytest.fixture
def on_record(run_once, monkeypatch):
    """The plan, and the folder of its records."""
    *found, cache = run_once
    monkeypatch.setenv("BENCH_CACHE", str(cache))
    return found


def with_old_scores(planned, results, folder, **digests):
    """The same records, as if an older score had seen nothing but the accuracy."""
    store = store_of(planned, folder)
    for record in store_of(planned, results).read():
        accuracy = {"accuracy": record.metrics["accuracy"]}
        old = record.digests | {"score": "0" * 16} | digests
        store.append(record.model_copy(update={"metrics": accuracy, "digests": old, "examples": {}, "curves": {}}))
    return store


def again(planned, folder):
    return rescore(planned, results=folder, jobs=1, device="cpu", plugins=(), report=Silent())


def test_a_kept_result_gives_all_that_its_run_gave(on_record, tmp_path, request):
    planned, results = on_record
    first = {record.key: record for record in store_of(planned, results).read()}
    store = with_old_scores(planned, results, tmp_path)
    found = again(planned, tmp_path)
    assert (found.done, found.lacking, found.failed) == (len(first), 0, {})
    for record in store.read()[len(first) :]:
        assert record.metrics == first[record.key].metrics
        assert HANGS_ON[request.node.callspec.params["run_once"]] in record.metrics
        assert record.examples == first[record.key].examples
        assert record.curves == first[record.key].curves
        assert record.costs == first[record.key].costs
        assert record.digests == first[record.key].digests
        assert "rescored" in record.provenance


def test_where_other_code_moved_too_nothing_is_scored_again(on_record, tmp_path):
    planned, results = on_record
    store = with_old_scores(planned, results, tmp_path, method="0" * 16)
    before = store.read()
    found = again(planned, tmp_path)
    assert (found.done, found.elsewhere["method"]) == (0, len(before))
    assert store.read() == before


def test_without_a_kept_result_the_record_stays(on_record, tmp_path, monkeypatch):
    planned, results = on_record
    store = with_old_scores(planned, results, tmp_path)
    before = store.read()
    monkeypatch.setattr("bench.vouching.rescore.values", lambda digests: before[0].digests | {"score": "1" * 16})
    for path in kept.folder().glob("*"):
        path.rename(path.with_suffix(".hidden"))
    try:
        found = again(planned, tmp_path)
    finally:
        for path in kept.folder().glob("*"):
            path.rename(path.with_suffix(".safetensors"))
    assert (found.done, found.lacking) == (0, len(before))
    assert store.read() == before


def test_what_is_kept_of_other_code_is_not_taken(monkeypatch, tmp_path):
    import torch

    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    things = {"result": torch.arange(6.0).reshape(2, 3).T, "repeated": [], "observers": [None]}
    kept.keep("k", {"method": "a", "score": "x"}, things, ())
    assert kept.find("k", {"method": "b"}, ()) is None
    found = kept.find("k", {"method": "a"}, ())
    assert torch.equal(found["result"], things["result"])
    assert found["result"].stride() == things["result"].stride()


def test_code_is_not_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    kept.keep("k", {}, {"result": lambda x: x}, ())
    assert not kept.folder().exists()


def test_the_oldest_results_go_first(monkeypatch, tmp_path):
    import os

    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    kept.folder().mkdir()
    for age, name in enumerate(["new", "older", "oldest"]):
        path = kept.folder() / f"{name}.safetensors"
        path.write_bytes(b"x" * 10)
        os.utime(path, (1000 - age, 1000 - age))
    kept.trim(limit=20)
    assert {path.stem for path in kept.folder().iterdir()} == {"new", "older"}
