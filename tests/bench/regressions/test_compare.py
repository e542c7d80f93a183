"""Two sets of results: what changed, what of it is significant, what is new, what is gone; folders and revisions."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench import registry
from bench.environment import PINNED
from bench.errors import BenchError
from bench.metrics.metric import Metric
from bench.records.record import Record, key_of, pack
from bench.records.store import Store
from bench.registry import Scenario
from bench.regressions.compare import Comparison, compare
from bench.regressions.snapshot import snapshot
from bench.regressions.telling import as_data, lines

KIND = Scenario(
    kind="guess",
    settings=object,
    task=object,
    headline="accuracy",
    lower="coin",
    upper="oracle",
    references=(),
    metrics=(
        Metric("accuracy", "%", higher_is_better=True, examples="test"),
        Metric("loss", "nats", higher_is_better=False, floor="floor_loss"),
    ),
    own_costs=(),
)
MACHINE = "Linux, 2 x A processor"


@pytest.fixture(autouse=True)
def kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.SCENARIOS.entries, "guess", KIND)


def record(row: str, seed: int, right: int | None, **more: object) -> Record:
    """A record with so many right answers of 200, drawn by its seed."""
    metrics: dict[str, float] = dict(more.pop("metrics", {}))  # type: ignore[call-overload]
    examples = {}
    if right is not None:
        correct = np.random.default_rng(seed).permutation(np.arange(200) < right)
        metrics, examples = {"accuracy": float(correct.mean())} | metrics, {"test": pack(correct)}
    asked = {"scenario": "s", "kind": "guess", "method": row, "params": {}, "seed": seed, "environment": PINNED}
    asked |= {"settings": more.pop("settings", {}), "data": {"name": "digits"}, "zoo": {}}
    asked |= {"fingerprint": dict(more.get("data", {})).get("fingerprint", "f00d")}  # type: ignore[call-overload]
    fields = {
        "suite": "toy",
        "profile": "cpu",
        "scenario": "s",
        "kind": "guess",
        "method": row,
        "label": row,
        "params": {},
        "seed": seed,
        "status": "ok",
        "metrics": metrics,
        "examples": examples,
        "costs": {"seconds": 2.0},
        "data": {"name": "digits", "variant": "digits", "fingerprint": "f00d"},
        "provenance": {"machine": MACHINE, "commit": "abc", "dirty": False, "versions": {}}
        | {"device": "cpu", "precision": "fp32", "threads": 1, "started": "2025-01-01T00:00:00+00:00"},
        "asked": asked,
        "key": key_of(asked),
    }
    return Record(**fields | more)


def write(folder: Path, records: list[Record]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.jsonl").write_text("".join(f"{one.line()}\n" for one in records))
    return folder


@pytest.fixture
def held(tmp_path: Path) -> Callable[..., Comparison]:
    """`held(before, after)` -> the comparison of two folders with these records."""

    def of(before: list[Record], after: list[Record]) -> Comparison:
        a, b = write(tmp_path / "a" / "toy", before), write(tmp_path / "b" / "toy", after)
        return compare(snapshot(str(a)), snapshot(str(b)))

    return of


RIGHT = {0: 150, 1: 154, 2: 148, 3: 152}
SAME = [record("mean", seed, right) for seed, right in RIGHT.items()]


def test_what_is_equal_is_counted_and_nothing_else_is_said(held):
    found = held(SAME, SAME)
    assert (found.paired, found.equal, found.changes, found.worse) == (4, 4, (), False)
    assert found.seconds == pytest.approx(1.0)


@pytest.mark.parametrize(("by", "verdict"), [(-60, "worse"), (40, "better"), (-1, "changed")])
def test_a_difference_is_judged_over_seeds_and_examples(held, by, verdict):
    after = [record("mean", seed, right + by) for seed, right in RIGHT.items()]
    found = held(SAME, after)
    (change,) = found.changes
    assert change.verdict == verdict
    assert change.metric.name == "accuracy"
    assert change.better_by == pytest.approx(by / 200)
    assert change.low < by / 200 < change.high
    assert found.worse == (verdict == "worse")


def test_of_a_metric_whose_low_values_are_good_a_rise_is_worse(held):
    before, after = (
        [record("mean", s, None, metrics={"loss": loss + 0.01 * s, "floor_loss": loss}) for s in range(4)]
        for loss in (1.0, 2.0)
    )
    after = [one.model_copy(update={"metrics": one.metrics | {"loss": 2.0 + 0.02 * one.seed}}) for one in after]
    found = held(before, after)
    assert {(c.metric.name, c.verdict) for c in found.changes} == {("loss", "worse"), ("floor_loss", "changed")}


def test_one_seed_settles_nothing(held):
    found = held(SAME[:1], [record("mean", 0, 20)])
    (change,) = found.changes
    assert change.verdict == "changed"
    assert "one distinct standard model" in change.reason
    assert not found.worse


def test_many_metrics_at_once_are_held_to_a_q_value(held):
    """One of forty rows that did not really change has p = 0.03 or so: that is no finding."""
    draws = np.random.default_rng(5)
    noise = {row: draws.normal(0, 0.01, (2, 4)) for row in map(str, range(40))}
    before, after = (
        [record(f"r{row}", s, None, metrics={"loss": 1 + x[side, s]}) for row, x in noise.items() for s in range(4)]
        for side in (0, 1)
    )
    found = held(before, after)
    assert min(c.p for c in found.changes) < 0.05
    assert {c.verdict for c in found.changes} == {"changed"}


def test_rows_that_came_and_went_and_cells_that_lost_their_result(held):
    failed = record("mean", 0, None, status="failed", reason="it ran away")
    found = held([*SAME, record("old", 0, 100)], [failed, *SAME[1:], record("new", 1, 100)])
    assert [place[2:] for place in found.gone] == [("s", "old", 0)]
    assert [place[2:] for place in found.new] == [("s", "new", 1)]
    assert [(e.place.seed, e.before, e.after, e.reason) for e in found.endings] == [(0, "ok", "failed", "it ran away")]
    assert found.worse


def test_a_metric_of_one_side_is_told(held):
    after = [record("mean", seed, right, metrics={"loss": 1.0}) for seed, right in RIGHT.items()]
    (one,) = held(SAME, after).one_sided
    assert (one.metric, one.side, one.seeds) == ("loss", "new", (0, 1, 2, 3))


def test_other_data_are_not_compared(held):
    other = {"name": "digits", "variant": "digits", "fingerprint": "beef"}
    found = held(SAME, [record("mean", seed, 10, data=other) for seed in RIGHT])
    assert len(found.apart) == 4
    assert found.changes == ()
    assert "other data" in found.apart[0][1]


def test_what_else_differs_is_named(held):
    before = [record("mean", s, r, settings={"steps": 400}, digests={"method": "a"}) for s, r in RIGHT.items()]
    after = [record("mean", s, r - 60, settings={"steps": 8}, digests={"method": "b"}) for s, r in RIGHT.items()]
    (change,) = held(before, after).changes
    assert change.because == ("settings.steps (400 -> 8)", "code of method")
    text = "\n".join(lines(held(before, after)))
    assert "worse   toy/cpu s/mean: accuracy, % 75.5 -> 45.5" in text
    assert text.endswith("1 metric worse, 0 better, 0 changed otherwise, 0 cells lost their result")


def test_the_data_are_those_of_the_text(held):
    found = held(SAME, [record("mean", seed, right - 60) for seed, right in RIGHT.items()])
    told = json.loads(json.dumps(as_data(found)))
    assert told["worse"] is True
    assert told["changes"][0]["metric"] == "accuracy"
    assert told["changes"][0]["verdict"] == "worse"


def test_a_revision_is_read_as_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x"]
    write(tmp_path / "results" / "toy", SAME)
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    write(tmp_path / "results" / "toy", SAME[:3])
    found = compare(snapshot("HEAD"), snapshot("results"))
    assert (found.paired, found.equal, len(found.gone)) == (3, 3, 1)
    assert snapshot("HEAD:results/toy").records == snapshot("HEAD").records


@pytest.mark.parametrize("place", ["nowhere", "", "--help", ":results"])
def test_what_is_neither_folder_nor_revision_is_refused(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()  # whatever repository lies above
    with pytest.raises(BenchError, match=r"give a results folder, a \.jsonl file, or a git revision"):
        snapshot(place or "empty")


def test_nothing_in_common_is_an_error_and_no_success(held):
    with pytest.raises(BenchError, match=r"no cell in common \(they hold toy/cpu and toy/cpu\)"):
        held(SAME, [record("other", 0, 10)])


def test_the_command_tells_worse_from_error(command, tmp_path):
    a = write(tmp_path / "a" / "toy", SAME)
    b = write(tmp_path / "b" / "toy", [record("mean", seed, right - 60) for seed, right in RIGHT.items()])
    assert command("compare", a, a).returncode == 0
    assert command("compare", b, a).returncode == 0
    done = command("compare", a, b, "--format", "json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["worse"] is True
    wrong = command("compare", a, tmp_path / "none")
    assert wrong.returncode == 2
    assert "neither a folder" in wrong.stderr


def test_records_are_chosen_as_boards_choose_them(tmp_path):
    earlier = record("mean", 0, 10)
    folder = write(tmp_path / "toy", [earlier, *SAME])
    (place,) = (p for p in snapshot(str(folder)).records if p.seed == 0)
    assert snapshot(str(folder)).records[place].metrics == SAME[0].metrics
    assert len(Store(folder / "cpu.jsonl").read()) == 5
