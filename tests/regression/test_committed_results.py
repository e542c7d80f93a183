"""Committed numbers: a rerun at smoke size gives them again, and every committed board regenerates to its bytes."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest

import bench
from bench import suite as suites
from bench.leaderboard import build, write
from bench.provenance import provenance
from bench.records import Store, newest

RESULTS = Path(__file__).parents[2] / "results"
BOARDS = sorted(RESULTS.glob("*/*.jsonl"))

ELSEWHERE = 0.12
"""How far an accuracy may lie from the committed one on another machine or version: smoke networks are trained for
seconds, and a last digit that differs early is another network later."""

SOMETIMES = {"anamnesis", "floor_anamnesis"}
"""Left out where all retrained networks relearn at once, which may hang on a last digit as well."""


@pytest.mark.parametrize("path", BOARDS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_a_committed_leaderboard_regenerates_to_the_same_bytes(path: Path, tmp_path: Path) -> None:
    suite = suites.load(path.parent.name.partition("@")[0], path.stem)
    written = write(build(suite, Store(path).read()), tmp_path)
    assert written
    for new in written:
        assert new.read_bytes() == (path.parent / new.name).read_bytes(), new.name


FIRST = {"datafree", "fuse", "merge", "squeeze", "unlearn", "distill"}


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("digits", FIRST),
        ("cifar", FIRST),
        ("datafree", {"datafree", "poisoned"}),
        ("fusion", {"fuse"}),
        ("merging", {"merge"}),
        ("squeezing", {"squeeze"}),
        ("unlearning", {"unlearn", "dispose"}),
    ],
)
def test_each_suite_has_a_committed_board_of_three_seeds(name: str, kinds: set[str]) -> None:
    suite = suites.load(name, "cpu")
    board = build(suite, Store(RESULTS / name / "cpu.jsonl").read())
    assert {section.kind for section in board.sections} == kinds
    for section in board.sections:
        for row in section.rows:
            assert row.status in ("ok", "skipped"), (section.name, row.label, row.reasons)
            assert row.status == "skipped" or set(row.seeds) >= {0, 1, 2}, (section.name, row.label)


@pytest.mark.parametrize(
    ("scenario", "best", "many"), [("digits", 0.95, 0.8), ("fashion", 0.90, 0.8), ("cifar", 0.60, 0.6)]
)
def test_data_free_methods_close_the_gap_between_noise_and_real_data(scenario: str, best: float, many: float) -> None:
    board = build(suites.load("datafree", "cpu"), Store(RESULTS / "datafree" / "cpu.jsonl").read())
    (section,) = (section for section in board.sections if section.name == scenario)
    closed = {row.method: row.gap_closed for row in section.rows if row.role is None and row.gap_closed is not None}
    assert max(closed.values()) >= best
    assert sum(value >= many for value in closed.values()) >= 4, closed


@pytest.mark.parametrize("scenario", ["cifar-class", "digits-class"])
def test_a_masked_class_is_not_taken_for_a_forgotten_one(scenario: str) -> None:
    board = build(suites.load("unlearning", "cpu"), Store(RESULTS / "unlearning" / "cpu.jsonl").read())
    (section,) = (section for section in board.sections if section.name == scenario)
    (masked,) = (row for row in section.rows if row.method == "mask-class")
    assert masked.metrics["forget_accuracy"] == 0
    assert masked.metrics["relearn_steps"] == 0 < masked.metrics["floor_relearn_steps"]


def test_what_nobody_forgot_is_found_by_the_strong_attack() -> None:
    board = build(suites.load("unlearning", "cpu"), Store(RESULTS / "unlearning" / "cpu.jsonl").read())
    (section,) = (section for section in board.sections if section.name == "cifar-random")
    rows = {row.label: row.metrics for row in section.rows if row.status == "ok"}
    assert rows["original"]["strong_auc"] > rows["original"]["mia_auc"] > 0.85
    for label in ("finetune", "neggrad", "ssd"):
        assert rows[label]["strong_auc"] > rows[label]["floor_strong_auc"] + 0.3
    assert abs(rows["retrain"]["strong_auc"] - rows["retrain"]["floor_strong_auc"]) < 0.05


@pytest.mark.parametrize(
    ("name", "only"), [("digits", None), ("datafree", "digits/*"), ("datafree", "poisoned-grid/*")]
)
def test_a_smoke_suite_gives_its_committed_numbers_again(name: str, only: str | None, tmp_path: Path) -> None:
    committed = newest(Store(RESULTS / name / "smoke.jsonl").read())
    bench.run(name, "smoke", only=only, results=tmp_path)
    again = newest(Store(tmp_path / name / "smoke.jsonl").read())
    assert again.keys() == {cell for cell in committed if only is None or fnmatch("/".join(map(str, cell)), only)}
    here = provenance()
    for cell, new in again.items():
        old = committed[cell]
        assert new.status == old.status, (cell, new.reason)
        assert new.metrics.keys() ^ old.metrics.keys() <= SOMETIMES, cell
        same_place = all(old.provenance[k] == here[k] for k in ("machine", "versions"))
        if same_place:
            assert new.metrics == old.metrics, cell
        elif "accuracy" in old.metrics:
            assert abs(new.metrics["accuracy"] - old.metrics["accuracy"]) <= ELSEWHERE, cell
