"""A scenario in one file of somebody's own declares its metrics; everything that shows or checks them knows them."""

from __future__ import annotations

import csv
import json

import pytest
from click.testing import CliRunner

from bench import registry
from bench.cli.main import cli
from bench.errors import BenchError, SuiteError
from bench.leaderboard import as_data, build, claim_lines, write
from bench.metrics.metric import Metric
from bench.running.plan import plan
from bench.suite import suite as suites
from bench.suite.checking import check

PLUGIN = '''
from bench import Cost, Metric, Task, method, scenario
from bench.scenarios import Score, Situation
from bench.schema.settings import Settings


@scenario(
    kind="regretful",
    task=Task,
    metrics=(
        Metric(
            "regret",
            "bits",
            higher_is_better=False,
            title="mean regret",
            floor="floor_regret",
            explain=("Mean regret", "is what hindsight would have saved."),
        ),
        Metric("share_#", "%", higher_is_better=True, title="share of part #", in_table=True),
        Metric("trials_needed", "count", higher_is_better=False, derived=lambda m: 100 * m["regret"]),
    ),
    costs=(Cost("tears", "tears", "tears shed", ("Tears", "are counted, not weighed.")),),
    headline="regret",
    lower="rash",
    upper="wise",
)
class Regretful(Settings):
    """Look back."""

    def zoo(self, setup):
        return {}

    def prepare(self, lab):
        return Situation({}, {})

    def score(self, situation, result, lab):
        return Score({"regret": result, "floor_regret": 0.1, "share_0": 0.25})


@method(family="toy", scenario="regretful")
def rash(task):
    """Acts."""
    return 0.9


@method(family="toy", scenario="regretful")
def wise(task):
    """Waits."""
    return 0.05
'''
SUITE = """
title = "Regret"
seeds = [0, 1, 2]
[data]
name = "digits"
[scenarios.life]
kind = "regretful"
[claims.patience]
paper = "folklore"
says = "Who waits regrets less"
scenario = "life"
compare = { better = "wise", worse = "rash", metric = "regret" }
[claims.calm]
paper = "folklore"
says = "Who waits needs fewer trials"
scenario = "life"
compare = { better = "wise", worse = "rash", metric = "trials_needed" }
[profiles.cpu]
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    registry.discover()
    for table in (registry.SCENARIOS, registry.METHODS):
        monkeypatch.setattr(table, "entries", dict(table.entries))
    path = tmp_path / "regretful.py"
    path.write_text(PLUGIN)
    registry.load_plugin(path)
    return path


@pytest.fixture
def records(plugin, write_suite, record_of):
    cells = plan(suites.load(write_suite(text=SUITE), "cpu")).cells
    shown = {"rash": 0.9, "wise": 0.05}
    return [
        record_of(
            cell,
            metrics={
                "regret": shown[cell.row.label] + (0.01 if cell.row.label == "wise" else 0.02) * cell.seed,
                "floor_regret": 0.1,
                "share_0": 0.25,
                "odd": 2.0,
            },
            examples={},
            costs={"seconds": 1.0, "tears": 3.0},
        )
        for cell in cells
    ]


def test_boards_show_what_is_declared(records, write_suite, tmp_path):
    board = build(suites.load(write_suite(text=SUITE), "cpu"), records)
    markdown, table, html, *_ = (path.read_text(encoding="utf-8") for path in write(board, tmp_path / "out"))
    for text in (markdown, html):
        assert "Ranked by mean regret, lower is better" in text
        assert "mean regret, bits (95 %)" in text
        assert "share of part 0, %" in text
        assert "is what hindsight would have saved." in text
        assert "are counted, not weighed." in text
        assert "trials needed" in text
    assert "odd 2.000" in html, "nobody declares it: it has its plain name"
    lines = {line["label"]: line for line in csv.DictReader(table.splitlines())}
    assert (lines["wise"]["metric"], lines["wise"]["mean"], lines["wise"]["tears"]) == (
        "regret",
        "0.060000",
        "3.000000",
    )
    assert lines["wise"]["metric.trials_needed"] == "6.000000"
    [section] = board.sections
    assert [row.label for row in section.rows] == ["wise", "rash"]
    assert section.rows[0].marks == ("within the floor",)
    assert [(claim.metric, claim.answer) for claim in board.claims] == [("regret", "holds"), ("trials_needed", "holds")]
    assert any("regret, bits: +0.860" in line for line in claim_lines(board))
    told = json.loads(json.dumps(as_data(board)))["sections"][0]["metrics"]
    assert [metric["name"] for metric in told] == ["regret", "share_#", "trials_needed"]
    assert "trials_needed" not in records[0].metrics, "records stay as they are"


def test_records_of_a_kind_that_is_not_installed_are_set_aside_and_told(records, write_suite):
    strangers = [r.model_copy(update={"kind": "elsewhere", "scenario": "gone", "key": "0" * 20}) for r in records[:1]]
    board = build(suites.load(write_suite(text=SUITE), "cpu"), [*records, *strangers])
    assert board.records == len(records)
    assert board.set_aside == ("1 record of rows that the suite does not name (any more)",)


@pytest.mark.parametrize("metric", ["regret", "floor_regret", "share_7", "trials_needed", "tears", "seconds"])
def test_check_takes_claims_about_what_is_declared(plugin, write_suite, metric):
    check(write_suite(text=SUITE.replace('metric = "regret"', f'metric = "{metric}"')))


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ("regrets", "unknown metric 'regrets' of regretful scenarios; did you mean 'regret'"),
        ("share_x", "unknown metric 'share_x' of regretful scenarios; did you mean 'share_#'"),
        ("accuracy", "unknown metric 'accuracy' of regretful scenarios; there are"),
    ],
)
def test_check_refuses_others_with_the_near_miss(plugin, write_suite, metric, told):
    with pytest.raises(SuiteError, match=told):
        check(write_suite(text=SUITE.replace('metric = "regret"', f'metric = "{metric}"')))


def test_show_lists_the_metrics(plugin):
    shown = CliRunner().invoke(cli, ["show", "regretful"], catch_exceptions=False).output
    assert "regret: good low, unit bits, title mean regret, floor floor_regret" in shown


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        ((Metric("regrets", "", higher_is_better=False),), "headline 'regret' is not declared; did you mean 'regrets'"),
        ((Metric("regret", "", higher_is_better=False),) * 2, "declares metric 'regret' twice"),
    ],
)
def test_a_scenario_declares_its_headline_and_nothing_twice(metrics, told):
    with pytest.raises(BenchError, match=told):
        registry.scenario(kind="k", task=object, metrics=metrics, headline="regret", lower="a", upper="b")
