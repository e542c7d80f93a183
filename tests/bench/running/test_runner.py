"""Nothing is lost: failures stay in their row, what was written is safe.

What a row does to its process: `test_rows_apart.py`; kills: `tests/long/test_kills.py`.
"""

import json
import warnings
from pathlib import Path

import pytest

import bench
from bench import registry
from bench.errors import BenchError
from bench.records.frame import load_results
from bench.records.store import Store
from bench.running.plan import plan
from bench.running.runner import execute, store_of
from bench.suite import suite as suites

ROOT = Path(__file__).parents[3]
BAD = {
    "toy-raises": "ValueError: the optimiser ran away (toy.py:",
    "toy-nan": "predictions are NaN or infinite",
    "toy-wrong-shape": "logits of shape",
    "toy-not-a-model": "a model or predictor was expected, got int",
    "toy-peeks": "method 'toy-peeks' touched task.labels without access: declare 'labels'",
    "toy-raises-what-cannot-travel": "TwoWordsError (which has no message) (toy.py:",
    "toy-interrupts": "KeyboardInterrupt: enough (toy.py:",
    "toy-exits": "SystemExit: 0 (toy.py:",
}


@pytest.fixture
def run(toy, tmp_path, no_workers):
    """`run(path, ...)` -> the frame of a run of the toy suite, in this process."""

    def call(path, **more):
        return bench.run(path, "smoke", plugins=[toy], results=tmp_path / "results", **({"jobs": 1} | more))

    return call


def test_methods_that_fail_do_so_alone_and_say_why(run, write_suite, tmp_path):
    frame = run(write_suite(methods=[*BAD, "toy-skips"]), seeds=[0]).set_index("label")
    for label, reason in BAD.items():
        assert frame.loc[label, "status"] == "failed", label
        assert reason in frame.loc[label, "reason"]
    assert frame.loc["toy-skips", ["status", "reason"]].tolist() == ["skipped", "digits are not to its taste"]
    assert frame.loc["toy-nearest-mean", "accuracy"] > 0.7
    assert frame.loc["toy-constant", "status"] == "ok"
    assert len(Store(tmp_path / "results" / "toysuite" / "smoke.jsonl").read()) == len(BAD) + 3


def test_a_cache_that_cannot_be_written_is_told(run, write_suite, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", "/proc/none/cache")
    with pytest.raises(BenchError, match=r"/proc/none/cache/claims cannot be written .*set BENCH_CACHE"):
        run(write_suite())


def test_a_second_run_runs_nothing_and_failures_are_tried_again(run, write_suite, tmp_path):
    path = write_suite(methods=["toy-raises", "toy-noisy-mean"])
    first = run(path, seeds=[0])
    second = run(path, seeds=[0])
    assert first["key"].tolist() == second["key"].tolist()
    lines = (tmp_path / "results" / "toysuite" / "smoke.jsonl").read_text().splitlines()
    assert [json.loads(line)["label"] for line in lines].count("toy-raises") == 2
    assert len(lines) == 5


def test_two_runs_give_equal_records(run, write_suite):
    """`tests/long` runs two worker processes, and then one."""
    path = write_suite()
    columns = ["key", "label", "seed", "accuracy", "nll", "ece"]
    first = run(path)
    again = run(path, force=True)
    assert first[columns].equals(again[columns])
    assert first["provenance.started"].max() <= again["provenance.started"].min()


def test_kill_9_in_a_write_leaves_a_torn_line_that_is_set_aside(run, write_suite, tmp_path):
    path = write_suite()
    run(path, seeds=[0])
    store = Store(tmp_path / "results" / "toysuite" / "smoke.jsonl")
    whole = store.path.read_bytes()
    store.path.write_bytes(whole[:-25])  # what a kill in the middle of the last write leaves
    with pytest.warns(UserWarning, match=r"smoke\.jsonl:3: the last line is torn"):
        frame = run(path, seeds=[0])
    assert frame["status"].tolist() == ["ok"] * 3
    assert len(store.read()) == 3
    assert store.path.with_suffix(".jsonl.torn").exists()


def test_a_model_that_cannot_be_trained_fails_its_cells_only(run, write_suite, tmp_path):
    more = """
[models.mine]
arch = "mlp"
weights = "mine.safetensors"
[models.small]
arch = "mlp"
options = { width = 8 }
[recipe]
epochs = 1
augment = "none"
[scenarios.broken]
kind = "distill"
teacher = "mine"
student = "small"
"""
    (tmp_path / "mine.safetensors").write_bytes(b"not a weight file")
    frame = run(write_suite(more=more), seeds=[0]).set_index(["scenario", "label"])
    assert frame.loc[("hand", "toy-nearest-mean"), "status"] == "ok"
    assert frame.loc[("broken", "teacher"), "status"] == "failed"
    assert "mine.safetensors" in frame.loc[("broken", "teacher"), "reason"]


def test_each_record_names_the_data_of_its_own_cell(common_cache, run, write_suite):
    more = """
[datasets.drawn]
name = "shapes32"
train = 100
validation = 50
test = 100
size = 8
[scenarios.eyes]
kind = "toy"
data = "drawn"
"""
    frame = run(write_suite(more=more), seeds=[0], only="*/toy-constant/*").set_index("scenario")
    assert frame["data.name"].to_dict() == {"hand": "digits", "eyes": "shapes32"}
    assert frame["data.fingerprint"].nunique() == 2
    assert frame["status"].tolist() == ["ok", "ok"]


def test_a_scenario_may_train_its_standard_models_on_data_of_its_own(no_workers, write_suite, tmp_path):
    more = """
[models.small]
arch = "mlp"
options = { width = 32 }
[recipe]
epochs = 15
batch_size = 64
optimizer = "adamw"
peak_lr = 5e-3
augment = "none"
[scenarios.negative]
kind = "toy-negative"
teacher = "small"
"""
    plugins = [ROOT / "tests" / "toy.py", ROOT / "tests" / "toy_negative.py"]
    for plugin in plugins:
        registry.load_plugin(plugin)
    path = write_suite(more=more)
    models = plan(suites.load(path, "smoke"), seeds=(0,)).models().values()
    assert [type(model.settings).__name__ for model in models] == ["Negative"]
    frame = bench.run(path, "smoke", seeds=[0], only="negative/", plugins=plugins, results=tmp_path / "results", jobs=1)
    assert frame["reason"].isna().all()
    assert frame["accuracy"].min() > 0.7
    assert frame["accuracy"].min() > frame["positive_accuracy"].max() + 0.2


def test_a_full_disk_ends_the_run_and_keeps_what_was_written(run, write_suite, tmp_path, monkeypatch):
    appended = []
    append = Store.append

    def full_after_one(self, record):
        if appended:
            raise bench.BenchError(f"{self.path}: No space left on device")
        appended.append(record)
        append(self, record)

    path = write_suite()
    with monkeypatch.context() as patch:
        patch.setattr(Store, "append", full_after_one)
        with pytest.raises(bench.BenchError, match="No space left"):
            run(path, seeds=[0])
    assert len(Store(tmp_path / "results" / "toysuite" / "smoke.jsonl").read()) == 1
    assert run(path, seeds=[0])["status"].tolist() == ["ok"] * 3


def test_what_a_suite_asks_again_is_what_was_asked_last(toy, write_suite, record_of, tmp_path):
    planned = plan(suites.load(write_suite(), "smoke"))
    store = store_of(planned, tmp_path / "results")
    first = planned.cells[0]
    for cell in planned.cells:
        store.append(record_of(cell))
    store.append(record_of(first, 90, asked=first.asked | {"threads": 7}))  # the suite was changed meanwhile
    for _ in range(2):
        outcome = execute(planned, results=tmp_path / "results")
        assert (outcome.ran, outcome.reused) == (0, len(planned.cells))
        assert set(load_results(store.path)["key"]) == {cell.key for cell in planned.cells}
        assert len(store.read()) == len(planned.cells) + 2


def test_a_run_tells_what_is_damaged_and_what_contradicts(toy, write_suite, record_of, tmp_path):
    planned = plan(suites.load(write_suite(), "smoke"))
    store = store_of(planned, tmp_path / "results")
    for cell in planned.cells:
        store.append(record_of(cell, 10))
        store.append(record_of(cell, 20))
    with store.path.open("ab") as file:
        file.write(b"no record\n")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        execute(planned, results=tmp_path / "results")
    messages = [str(warning.message) for warning in told]
    assert f"{store.path}:{2 * len(planned.cells) + 1}: field sum" in messages[0]
    assert [message.split(" with one key")[0] for message in messages[1:]] == [
        f"two records of {cell.name}" for cell in planned.cells
    ]
