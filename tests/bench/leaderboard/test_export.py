"""Results as data: what boards use, a line a number, and tables for a paper."""

import csv
import io
import json
import sys
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.leaderboard import build, export
from bench.leaderboard.building import judging
from bench.records.store import Store

ROOT = Path(__file__).parents[3]


@pytest.fixture
def found(suite):
    records = Store(Path(__file__).with_name("records.jsonl")).read()
    return [export.Exported(build(suite, records), judging(suite, records).selection.cells)]


def test_csv_and_json_hold_the_same_numbers_as_the_board(found):
    lines = list(csv.DictReader(io.StringIO(export.as_csv(found))))
    rows = json.loads(export.as_json(found))["rows"]
    assert list(lines[0]) == list(rows[0]) == list(export.COLUMNS)
    assert [line["value"] for line in lines] == ["" if r["value"] is None else str(r["value"]) for r in rows]
    for section in found[0].board.sections:
        for row in section.rows:
            own = [r for r in rows if (r["scenario"], r["row"]) == (section.name, row.label)]
            values = [r["value"] for r in own if r["name"] == section.headline]
            assert sorted({r["seed"] for r in own if r["status"] == "ok"}) == list(row.seeds)
            if row.headline:
                assert sum(values) / len(values) == pytest.approx(row.headline.mean)


def test_parquet_holds_the_rows_of_json_and_the_meaning_of_its_columns(found):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(io.BytesIO(export.as_parquet(found)))
    assert table.to_pylist() == json.loads(export.as_json(found))["rows"]
    assert {f.name: f.metadata[b"description"].decode() for f in table.schema} == export.COLUMNS


def test_parquet_without_its_extra_says_how_to_get_it(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BenchError, match=r"pip install 'ktbench\[parquet\]'"):
        export.as_parquet(found)


def test_a_cell_without_a_result_has_one_line(found):
    failed = [line for line in export.tidy(found) if line["status"] == "failed"]
    assert [(line["row"], line["seed"], line["value"]) for line in failed] == [("transport", 1, None)]


def test_costs_are_numbers_of_their_own(found):
    line = next(line for line in export.tidy(found) if line["name"].startswith("samples."))
    assert (line["type"], line["higher_is_better"]) == ("cost", False)


def test_latex_escapes_what_others_wrote_and_has_intervals(found):
    text = export.as_latex(found)
    assert text.count("\\toprule") == text.count("\\bottomrule") == len(found[0].board.sections)
    assert "1 (1--1) & gram & 76.9 [70.6, 82.9] & 98 \\% & 3 & 6.95 \\\\" in text
    assert "\\emph{ensemble}" in text
    assert export._latex("a_b & 50 % of ~x^2 {y} \\z <") == (
        "a\\_b \\& 50 \\% of \\textasciitilde{}x\\textasciicircum{}2 \\{y\\} \\textbackslash{}z $<$"
    )


def test_the_columns_are_documented():
    text = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("| `")] == [
        f"| `{name}` | {meaning} |" for name, meaning in export.COLUMNS.items()
    ]
