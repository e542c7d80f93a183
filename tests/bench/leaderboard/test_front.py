"""The front page of a results folder: what it says, and that it needs the boards' summaries alone."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.leaderboard import build, front, summary, write, write_front
from bench.records.store import Store

RECORDS = Path(__file__).with_name("records.jsonl")


@pytest.fixture
def board(suite_of, make_claim):
    claims = (make_claim("gram", "average"), make_claim("laf", "scrub", scenario="class", paper="Somebody 2020"))
    return build(suite_of(claims), Store(RECORDS).read())


@pytest.fixture
def results(board, tmp_path):
    """Two suites, and a smoke board of one of them."""
    write(board, tmp_path / "toy")
    write(replace(board, profile="smoke"), tmp_path / "toy")
    write(replace(board, suite="other", title="Another suite"), tmp_path / "other")
    return tmp_path


def texts(results):
    return [(results / name).read_bytes() for name in ("index.html", "README.md")]


def test_a_summary_is_read_as_it_was_written(board, tmp_path):
    path = write(board, tmp_path)[4]
    assert path.name == "cpu.summary.json"
    read = summary.read(path)
    assert read is not None
    assert [one.leader.label for one in read.boards] == ["gram", "laf"]
    assert read.answers == {"holds": 1, "undecided": 1}
    gram = read.boards[0].leader
    assert gram.gap_low < gram.gap_closed < gram.gap_high
    assert read.boards[0].tied == ("gram",)


def test_the_front_is_the_same_whoever_writes_it_and_opens_no_records(results):
    write_front(results)
    before = texts(results)
    for path in results.glob("*/cpu.csv"):
        path.unlink()
    written, left = write_front(results)
    assert [path.name for path in written] == ["index.html", "README.md", "methods"]
    assert left == []
    assert texts(results) == before


def test_the_front_answers_and_links(results):
    write_front(results)
    page, text = (found.decode() for found in texts(results))
    sentence = "is first on the join board, clearly. On skewed: 76.9 [70.6, 82.9] (accuracy, %) in 6.95 s."
    assert f"<strong>gram</strong></a> {sentence}" in page
    assert f"- `gram` {sentence}" in text.replace("\\", "")
    assert "4 claims: 2 hold, 2 are undecided." in page
    assert "4 claims: 2 hold, 2 are undecided." in text
    assert 'href="toy/smoke.html"' in page  # beside the profile that is shown
    ids = {name: set(re.findall(r' id="([^"]+)"', (results / name).read_text("utf-8"))) for name in ("toy/cpu.html",)}
    links = re.findall(r'href="toy/cpu\.html#([^"]+)"', page)
    assert {"r-skewed-gram", "r-skewed-transport-acts", "c-gram-average", "claims-holds", "s-class"} <= set(links)
    assert set(links) <= ids["toy/cpu.html"]
    assert 'title="gram on toy/skewed: gap closed 98 % (87 % to 108 %)' in page
    assert "| [class](toy/cpu.md#class)" in text
    assert max(line.count(" | ") for line in text.splitlines()) < 12


def test_a_row_without_rivals_leads_nothing_clearly(board):
    first = summary.summarize(board).boards[0]
    alone = replace(first, rows=tuple(row for row in first.rows if row.rank in (None, 1)))
    assert (first.clear, alone.clear, alone.may_be_first) == (True, False, "only row")
    assert front.answer("join", [alone]).text.startswith("is first on the join board, as its only ranked row. On ")


def test_the_front_is_small_and_needs_no_host(results):
    write_front(results)
    page = texts(results)[0].decode()
    assert len(page) < 1_500_000
    assert not re.search(r"""(src|srcset)=|@import|url\(|fetch\(""", page)
    assert set(re.findall(r'href="(https?://[^"/]+)', page)) == {"https://arxiv.org"}


def test_what_is_not_shown_is_named(results):
    (results / "damaged").mkdir()
    (results / "damaged" / "cpu.summary.json").write_text(f'{{"format": {summary.FORMAT}, "suite": 3}}')
    (results / "older").mkdir()
    (results / "older" / "cpu.jsonl").write_text("")
    (results / "notes").mkdir()
    write_front(results)
    text = texts(results)[1].decode().replace("\\", "")
    assert "- damaged/cpu.summary.json: no summary of a board" in text
    assert "- older: no summary of a board; `python -m bench leaderboard older` writes it" in text
    assert "notes" not in text
    with pytest.raises(BenchError, match="python -m bench leaderboard damaged"):
        summary.read(results / "damaged" / "cpu.summary.json")


def test_another_format_is_passed_over(results):
    path = results / "other" / "cpu.summary.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"format": 99}))
    assert [suite.folder for suite in front.collect(results).suites] == ["toy"]


def test_a_file_of_somebody_else_is_left_alone(results):
    """`--results .` does not replace the README of a project."""
    (results / "README.md").write_text("# My project\n")
    written, left = write_front(results)
    assert ([path.name for path in written], [path.name for path in left]) == (["index.html", "methods"], ["README.md"])
    assert (results / "README.md").read_text() == "# My project\n"


def test_an_empty_folder_has_a_front(tmp_path):
    write_front(tmp_path)
    assert "No suite here makes a claim." in texts(tmp_path)[1].decode()


def test_titles_of_others_stay_text(board, tmp_path):
    write(replace(board, title="<script>alert(1)</script>"), tmp_path / "toy")
    write_front(tmp_path)
    page, text = (found.decode() for found in texts(tmp_path))
    assert page.count("<script>") == 1
    assert "<script>" not in text.replace("\\<", "")
