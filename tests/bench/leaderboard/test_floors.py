"""Ties within the floor, floors beside numbers, and the mark of what only strong attacks see."""

import csv
import re

import pytest

from bench import registry
from bench.leaderboard import floors, wording, write
from bench.leaderboard.building import build

GAPS = {"original": 0.3, "scrub": 0.1, "laf": 0.02, "mask": 0.015, "retrain": 0.01}


def records_of(record, gaps=GAPS, floor=0.03, **more):
    return [
        record(
            label,
            seed,
            scenario="class",
            metrics={"average_gap": gap + 0.001 * seed, "floor_gap": floor} | more.get(label, {}),
            costs={"seconds": 3.0 + seed, "retraining_seconds": 10.0, "repeat_seconds": 7.0},
        )
        for label, gap in gaps.items()
        for seed in range(3)
    ]


def rows(suite, records):
    return {row.label: row for row in build(suite, records).sections[1].rows}


def test_rows_within_the_floor_share_the_first_rank(suite, record):
    gaps = {"original": 0.3, "scrub": 0.02, "laf": 0.01, "retrain": 0.012}
    found = rows(suite, records_of(record, gaps))
    assert [(found[label].rank, found[label].rank_low, found[label].rank_high) for label in ("laf", "scrub")] == [
        (1, 1, 2),
        (1, 1, 2),
    ]
    assert found["laf"].first is found["scrub"].first is None
    assert found["laf"].marks == found["scrub"].marks == found["retrain"].marks == (floors.WITHIN,)
    assert found["original"].marks == ()
    assert found["retrain"].rank is None


def test_a_row_above_the_floor_comes_after_all_ties(suite, record):
    found = rows(suite, records_of(record))
    assert (found["laf"].rank, found["scrub"].rank) == (1, 2)
    assert found["laf"].first == 1.0  # alone within it, so it is no tie
    assert found["laf"].marks == (floors.WITHIN,)
    assert found["scrub"].marks == ()


def test_a_gap_at_the_floor_is_not_above_it_and_no_floor_is_no_tie(suite, record):
    same = {"original": 0.3, "scrub": 0.02, "laf": 0.02, "retrain": 0.01}
    at = rows(suite, [r for r in records_of(record, same, floor=0.02) if r.seed == 0])
    assert at["scrub"].marks == (floors.WITHIN,)
    without = [r.model_copy(update={"metrics": {"average_gap": r.metrics["average_gap"]}}) for r in records_of(record)]
    assert {row.marks for row in rows(suite, without).values()} == {()}


def test_who_only_the_weak_attack_overlooks_is_marked(suite, record):
    hidden = {"strong_minus_weak": 0.3, "floor_strong_minus_weak": 0.01}
    open_ = {"strong_minus_weak": -0.1, "floor_strong_minus_weak": 0.01}
    records = records_of(record, scrub=hidden, original=open_)
    for number, r in enumerate(records):
        if "strong_minus_weak" in r.metrics:
            r.metrics["strong_minus_weak"] += 0.01 * (number % 3)
    found = rows(suite, records)
    assert found["scrub"].marks == ("the strong attack sees more",)
    assert found["original"].marks == ()
    alone = rows(suite, [r for r in records if r.seed == 0])
    assert alone["scrub"].marks == (), "of one seed nothing is known of the spread"


def test_the_board_shows_headline_floor_weak_strong_and_relearning_side_by_side(suite, record, tmp_path):
    shown = {"mia_auc": 0.52, "floor_mia_auc": 0.5, "strong_auc": 0.81, "floor_strong_auc": 0.49}
    shown |= {"strong_minus_weak": 0.3, "floor_strong_minus_weak": 0.0, "relearn_steps": 3.0}
    shown |= {"floor_relearn_steps": 40.0}
    markdown, table, html, *_ = (
        path.read_text(encoding="utf-8") for path in write(build(suite, records_of(record, scrub=shown)), tmp_path)
    )
    headings = [
        "average gap, % (95 %)",
        "gap closed",
        "weak attack AUC / retrained",
        "strong attack AUC / retrained",
        "strong minus weak / retrained",
        "relearn steps / retrained",
    ]
    [line] = [line for line in markdown.splitlines() if "weak attack AUC / retrained" in line]
    places = [line.index(f" {heading} ") for heading in headings]
    assert places == sorted(places)
    [line] = [line for line in markdown.splitlines() if "`scrub`" in line and "0.520 / 0.500" in line]
    for text in ("0.810 / 0.490", "0.300 / 0.000", "3 / 40"):
        assert text in line
    assert re.search(r"The same in all rows: .*floor of the gap, % \d", markdown)
    for heading in headings[2:]:
        assert f">{heading}</button></th>" in html
    for text in (">0.520 / 0.500</td>", ">3 / 40</td>", "Weak and strong attacks", "The floor"):
        assert text in html
    line = next(line for line in csv.DictReader(table.splitlines()) if line["label"] == "scrub")
    assert line["metric.floor_strong_auc"] == "0.490000"
    assert float(line["rte"]) == pytest.approx(0.4)
    assert float(line["repeat_seconds"]) == 7


def test_marks_are_shown(suite, record, tmp_path):
    markdown, _, html, *_ = (p.read_text(encoding="utf-8") for p in write(build(suite, records_of(record)), tmp_path))
    assert "`laf` (within the floor)" in markdown
    assert f'<span class="tag reference">{floors.WITHIN}</span>' in html


def test_a_number_without_a_floor_stands_alone(suite, record):
    found = rows(suite, records_of(record, scrub={"mia_auc": 0.52}))
    weak = registry.SCENARIOS.get("forget").metric("mia_auc")
    assert wording.more_value(found["scrub"], weak) == "0.520"
    assert wording.more_value(found["laf"], weak) == "–"


@pytest.mark.parametrize(
    ("metrics", "gaps"),
    [
        ({"lira_auc": 0.6, "floor_lira_auc": 0.5, "rmia_auc": 0.8, "floor_rmia_auc": 0.52}, {"strong_gap": 0.28}),
        ({"lira_auc": 0.1, "floor_lira_auc": 0.5, "rmia_auc": 0.8, "floor_rmia_auc": 0.5}, {"strong_gap": 0.4}),
        ({"ulira_auc": 0.4, "floor_ulira_auc": 0.5}, {"ulira_gap": 0.1, "strong_gap": 0.1}),
        ({"lira_auc": 0.6, "mia_auc": 0.9, "floor_mia_auc": 0.5}, {}),
    ],
)
def test_a_board_knows_how_far_strong_attacks_depart_to_either_side(suite, record, metrics, gaps):
    records = [record("scrub", seed, scenario="class", metrics={"average_gap": 0.1} | metrics) for seed in range(2)]
    found = rows(suite, records)["scrub"].metrics
    assert {name: found[name] for name in found if name.endswith("_gap") and name != "average_gap"} == pytest.approx(
        gaps
    )
    assert all(
        record.metrics.keys() == {"average_gap"} | metrics.keys() for record in records
    )  # which stay as they are
