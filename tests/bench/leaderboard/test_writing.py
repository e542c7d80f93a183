"""The files of a board. `records.jsonl` is made up; what it must give lies beside it in `golden/`."""

import base64
import csv
import io
import json
import random
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from bench.data.spec import DataSpec
from bench.leaderboard import as_data, build, claim_lines, columns, write
from bench.leaderboard.board import Picture
from bench.leaderboard.markdown import render
from bench.leaderboard.wording import ANSWERS, data_facts, paper_url
from bench.metrics.metric import Metric
from bench.records import png
from bench.records.store import Store

HERE = Path(__file__).parent
ENDINGS = ("md", "csv", "html", "claims.json", "summary.json")


@pytest.fixture
def records():
    return Store(HERE / "records.jsonl").read()


@pytest.fixture
def claims(make_claim):
    return (
        make_claim("gram", "average", says="Gram matrices beat plain averaging"),
        make_claim("transport (acts)", "ensemble", margin=-0.05, says="Transport comes close to the ensemble"),
        make_claim("transport (acts)", "transport", paper="Somebody 2020", says="Activations beat weights"),
        make_claim("laf", "scrub", scenario="class", says="Forgetting without labels is as good | or better"),
        make_claim("mask", "original", scenario="class", says="Masking forgets"),
    )


@pytest.fixture
def board(suite_of, claims, records):
    return build(suite_of(claims), records)


@pytest.mark.parametrize("ending", [ending for ending in ENDINGS if ending != "html"])
def test_equal_records_give_equal_bytes(board, tmp_path, ending):
    """Where a change is meant: copy the file that pytest names into `golden/`. The page is judged by what it shows."""
    written = {path.name: path for path in write(board, tmp_path / "results")}
    assert list(written) == [f"cpu.{e}" for e in ENDINGS]
    made, golden = written[f"cpu.{ending}"], HERE / "golden" / f"cpu.{ending}"
    assert made.read_bytes() == golden.read_bytes(), f"{made} is not {golden}"


def test_the_order_of_records_does_not_matter(suite_of, claims, records, board, tmp_path):
    replaced, others = records[:2], records[2:]
    random.Random(1).shuffle(others)
    shuffled = build(suite_of(claims), [*replaced, *others])
    for one, other in zip(write(board, tmp_path / "one"), write(shuffled, tmp_path / "other"), strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_nothing_else_is_left_in_the_folder_and_files_are_replaced(board, tmp_path):
    (tmp_path / "cpu.md").write_text("old")
    write(board, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"cpu.{e}" for e in ENDINGS)
    assert (tmp_path / "cpu.md").read_text(encoding="utf-8").startswith("# Joining and forgetting\n")


def markdown_tables(text):
    blocks = re.findall(r"(?:^\|.*\|\n)+", text + "\n", flags=re.M)
    return [[re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines()] for block in blocks]


def test_markdown_has_boards_first_and_a_row_for_everything(board, tmp_path):
    text = write(board, tmp_path)[0].read_text(encoding="utf-8")
    order = ("| board ", "## skewed", "## class", "## Claims", "## How to read this", "Where these numbers come from")
    assert list(map(text.index, order)) == sorted(map(text.index, order))
    tables = markdown_tables(text)
    assert all(len({len(row) for row in table}) == 1 for table in tables)
    skewed = tables[1]
    assert len(skewed) == 2 + 6
    labels = " ".join(row[1] for row in skewed)
    for row in board.sections[0].rows:
        assert f"`{row.label}`" in labels
    assert "is as good | or better" not in text  # a bar in a sentence does not split a column


def test_markdown_is_narrow(board, tmp_path):
    """Twelve columns and no long line, whatever a board has; the CSV has the rest."""
    first = board.sections[0]
    metrics = tuple(Metric(f"more_{i}", "%", higher_is_better=True, in_table=True) for i in range(20))
    rows = tuple(
        replace(row, metrics=row.metrics | {m.name: i / 100 + j for j, m in enumerate(metrics)})
        for i, row in enumerate(first.rows)
    )
    wide = replace(board, sections=(replace(first, metrics=(*first.metrics, *metrics), rows=rows),))
    text = write(wide, tmp_path)[0].read_text(encoding="utf-8")
    assert max(len(row) for table in markdown_tables(text) for row in table) == 12
    assert max(map(len, text.splitlines())) < 700
    assert re.search(r"- \d+ more columns stand in the \[CSV\]\(cpu.csv\)\.", text)
    assert "metric.more_19" in (tmp_path / "cpu.csv").read_text(encoding="utf-8")


def test_a_column_of_one_value_is_one_line(board):
    first = board.sections[0]
    table = columns.main_table(first)
    assert "gap_closed" in {column.name for column in table.columns}
    assert ("seeds", "3") not in table.same  # a row has fewer
    alike = tuple(replace(row, seeds=(0, 1, 2)) for row in first.rows)
    folded = columns.main_table(replace(first, rows=alike))
    assert ("seeds", "3") in folded.same
    assert "seeds" not in {column.name for column in folded.columns}
    assert "seeds 3" in render(replace(board, sections=(replace(first, rows=alike),)))


def test_csv_holds_the_numbers_of_the_board(board, tmp_path):
    with write(board, tmp_path)[1].open(encoding="utf-8", newline="") as file:
        lines = {(line["scenario"], line["label"]): line for line in csv.DictReader(file)}
    for section in board.sections:
        for row in section.rows:
            line = lines[section.name, row.label]
            assert line["status"] == row.status
            if row.headline:
                assert float(line["mean"]) == pytest.approx(row.headline.mean, abs=1e-6)
                assert json.loads(line["params"]) == row.params
            else:
                assert (line["mean"], line["rank"]) == ("", "")
                assert line["reasons"]


class Page(HTMLParser):
    """Collects what a page would load, its ids, and checks that tags close."""

    VOID = ("meta", "line", "circle", "path", "br", "input")

    def __init__(self, text):
        super().__init__()
        self.loads, self.links, self.ids, self.open, self.tags = [], [], set(), [], set()
        self.sections, self.rows = {}, []
        """Id of a section -> the rows of its tables, each a list of the texts of its cells; pictures have none."""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        table = dict(attributes)
        self.loads += [table[a] for a in ("src", "srcset", "data") if a in table]
        self.links += [table["href"]] if "href" in table else []
        self.ids |= {table["id"]} if "id" in table else set()
        if tag == "section":
            self.rows = self.sections.setdefault(table.get("id"), [])
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open) and "svg" not in self.open:
            self.rows[-1][-1] += data


def test_page_shows_every_row_in_order_and_every_verdict_by_its_answer(board, tmp_path):
    text = write(board, tmp_path)[2].read_text(encoding="utf-8")
    sections = Page(text).sections
    assert list(sections) == ["s-skewed", "s-class", "claims"]
    assert text.index('id="claims"') < text.index('id="how"') < text.index('id="provenance"')
    shown = [cells for cells in sections["claims"] if cells[0] != "claim"]
    order = [v for answer in ANSWERS for v in board.claims if v.answer == answer]
    for cells, verdict in zip(shown, order, strict=True):
        assert cells[0].startswith(verdict.says)
        assert cells[-1] == verdict.paper
    assert shown[0][1] == "+56.9 [+42.7, +71.2]"
    assert {"claims-holds", "claims-undecided"} <= Page(text).ids
    assert "claims-fails" not in Page(text).ids
    for section in board.sections:
        _, *rows = sections[f"s-{section.name}"]  # a table of further metrics follows
        assert len(rows) >= len(section.rows)
        for cells, row in zip(rows, section.rows, strict=False):
            assert cells[1].startswith(row.label)
            told = row.status if row.headline is None else f"{100 * row.headline.mean:.1f}"
            assert cells[2].startswith(told), row.label
    assert sections["s-skewed"][2][:3] == ["1 (1–1)", "gram", "76.9 [70.6, 82.9]"]


def test_page_markdown_and_csv_show_the_same_numbers(board, tmp_path):
    """They are written from the same columns."""
    markdown, table, html, *_ = (p.read_text(encoding="utf-8") for p in write(board, tmp_path))
    sections = Page(html).sections
    lines = list(csv.DictReader(io.StringIO(table)))
    for place, section in enumerate(board.sections, 1):
        head, *rows = (
            [cell for cell in cells if cell] for cells in sections[f"s-{section.name}"][: 1 + len(section.rows)]
        )
        told = [[cell.strip() for cell in cells if cell.strip()] for cells in markdown_tables(markdown)[place][2:]]
        assert [cell for cell in head if cell.strip()] == [c.heading for c in columns.main_table(section).columns]
        for shown, written, row in zip(rows, told, section.rows, strict=True):
            scores = [cell for cell in shown if re.match(r"[\d−.]+ \[", cell)]
            assert set(scores) <= set(written)
            (line,) = (one for one in lines if (one["scenario"], one["label"]) == (section.name, row.label))
            assert not row.headline or scores[0].startswith(f"{100 * float(line['mean']):.1f} ")


def test_page_needs_no_other_host(board, tmp_path):
    text = write(board, tmp_path)[2].read_text(encoding="utf-8")
    page = Page(text)
    assert not page.tags & {"link", "iframe", "img", "object", "embed"}
    assert page.loads == []
    assert "default-src 'none'" in text
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|import\(", text)
    local = {"../index.html", "cpu.csv"}
    local |= {f"../methods/{row.method}.html" for section in board.sections for row in section.rows}
    outside = {link.partition("#")[0] for link in page.links if not link.startswith("#")}
    assert outside == {"https://arxiv.org/abs/2212.09849"} | local
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    assert "prefers-color-scheme: dark" in text


def test_pictures_leave_a_page_small(board, tmp_path):
    """The galleries show fewer rows rather than that a page grows beyond 1.5 MB, and say how many they leave out."""
    picture = Picture(0, base64.b64encode(png.encode(np.zeros((8, 8, 3), np.uint8)).ljust(300_000, b"x")).decode())
    first = board.sections[0]
    rows = tuple(replace(row, pictures={"images": picture}) for row in first.rows)
    text = write(replace(board, sections=(replace(first, rows=rows),)), tmp_path)[2].read_text(encoding="utf-8")
    assert text.count("data:image/png") == 1
    assert "Images: 1 of 6 rows" in text
    assert len(text) < 1_500_000


def test_what_others_wrote_is_text_and_not_markup(suite, record, tmp_path):
    evil = "<script>alert(1)</script> a|b `c` *d*\nnext line"
    board = build(suite, [record("gram", 0, status="failed", reason=evil)])
    markdown, _, html, *_ = write(board, tmp_path)
    assert html.read_text(encoding="utf-8").count("<script>") == 1  # ours
    text = markdown.read_text(encoding="utf-8")
    assert "<script>" not in text.replace("\\<", "")
    assert "next line" in text
    assert "\nnext line" not in text


def test_a_stand_in_is_named_loudly_everywhere(suite_of, claims, records, tmp_path):
    board = build(suite_of(claims, data="cifar10"), records)
    assert [use.stand_in_for for use in board.data] == ["cifar10"]
    markdown, _, html, verdicts, _ = write(board, tmp_path)
    warning = "STAND-IN DATA: these numbers come from digits, because cifar10 was not available."
    assert warning in markdown.read_text(encoding="utf-8").replace("\\", "")
    assert warning in html.read_text(encoding="utf-8")
    assert json.loads(verdicts.read_text(encoding="utf-8"))["stand_in_for"] == "cifar10"
    assert next(iter(claim_lines(board))).startswith(warning)


@pytest.fixture
def mixed(suite_of, claims, records):
    """`mixed(far)`: a board whose scenario `class` asks for CIFAR-10 and stands on `far`."""

    def make(far):
        suite = suite_of(claims)
        scenarios = suite.scenarios | {"class": replace(suite.scenarios["class"], data="far")}
        datasets = {"far": DataSpec(name="cifar10", offline="shapes32")}
        there = [r.model_copy(update={"data": far}) if r.scenario == "class" else r for r in records]
        return build(replace(suite, scenarios=scenarios, datasets=datasets), there)

    return make


def test_each_scenario_says_its_data_where_there_are_several(mixed, board, tmp_path):
    found = mixed({"name": "cifar10", "variant": "cifar10-jpeg", "fingerprint": "c1fa"})
    assert found.records == board.records
    assert found.sections == board.sections
    markdown, table, html, verdicts, _ = (p.read_text(encoding="utf-8") for p in write(found, tmp_path))
    for text in (markdown, html):
        assert text.count("Data: digits.") == 1
        assert text.count("Data: cifar10-jpeg.") == 1
        assert "digits, fingerprint f00d: skewed" in text
        assert "cifar10-jpeg, fingerprint c1fa: class" in text
        assert "STAND-IN" not in text
    assert ", on digits, cifar10-jpeg.</p>" in html
    lines = {(line["scenario"], line["data"], line["fingerprint"]) for line in csv.DictReader(io.StringIO(table))}
    assert lines == {("skewed", "digits", "f00d"), ("class", "cifar10-jpeg", "c1fa")}
    assert [use["scenarios"] for use in json.loads(verdicts)["datasets"]] == [["skewed"], ["class"]]


def test_one_content_under_two_settings_is_told_once(suite_of, claims, records):
    """A suite may take more rows of a set for one scenario: the fingerprint is of the whole set."""
    suite = suite_of(claims)
    scenarios = suite.scenarios | {"class": replace(suite.scenarios["class"], data="more")}
    more = replace(suite, scenarios=scenarios, datasets={"more": DataSpec(name="digits", train=100)})
    assert data_facts(build(more, records)) == [("data", "digits, fingerprint f00d: skewed, class")]


def test_a_stand_in_of_one_scenario_is_told_of_that_scenario(mixed, tmp_path):
    found = mixed({"name": "shapes32", "variant": "shapes32", "fingerprint": "5a9e"})
    markdown, _, html, *_ = (p.read_text(encoding="utf-8") for p in write(found, tmp_path))
    warning = "STAND-IN DATA: the numbers of class come from shapes32, because cifar10 was not available."
    for text in (markdown.replace("\\", ""), html, "\n".join(claim_lines(found))):
        assert text.count(warning) == 1
        assert "numbers of skewed" not in text
    assert "Data: shapes32, in place of cifar10." in markdown


def test_records_of_data_that_the_scenario_does_not_name_do_not_count(mixed, board):
    found = mixed({"name": "mnist", "variant": "mnist", "fingerprint": "beef"})
    assert found.sections[0] == board.sections[0]
    assert {row.status for row in found.sections[1].rows} == {"missing"}
    assert any("computed on mnist (beef)" in note for note in found.set_aside)
    assert found.data_of(found.sections[1]).stand_in_for is None


def test_lines_for_a_terminal_are_plain(board):
    lines = list(claim_lines(board))
    assert len(lines) == len(board.claims) + 1
    assert lines[0].startswith("holds     gram-average: gram over average in skewed, accuracy, %: +")
    assert all(line.isascii() for line in lines)
    assert lines[-1] == (
        "5 claims: 1 holds, 4 are undecided. Of 3 judged claims, at most 0.2 are expected to be wrong (0.050 each)."
    )


def test_board_as_data_is_json_with_six_decimals(board):
    text = json.dumps(as_data(board), allow_nan=False)
    assert json.loads(text) == as_data(board)
    assert not re.search(r"\d\.\d{7,}(?!e)", text)
    assert as_data(board)["claims"][0]["answer"] == "holds"


def test_a_board_without_records_can_be_written(suite, tmp_path):
    for path in write(build(suite, []), tmp_path):
        assert path.stat().st_size


HOSTILE = (
    "=1+1 | x\n| a | b |\n<script>alert(1)</script> ![p](javascript:x) `c` *b* ~~s~~ &lt;b&gt; \\| "
    "\x1b[31m\u202e\r\n- z\x00"
)


def test_no_text_of_others_breaks_a_board(suite_of, make_claim, records, tmp_path, board):
    suite = suite_of((make_claim("gram", "average", says=HOSTILE, paper=f"arXiv:1)](http://x) {HOSTILE}", id="c"),))
    scenarios = {name: replace(s, title=HOSTILE) for name, s in suite.scenarios.items()}
    hostile = [r if r.status == "ok" else r.model_copy(update={"reason": HOSTILE}) for r in records]
    made = build(replace(suite, title=HOSTILE, scenarios=scenarios), hostile)
    assert any(row.reasons for section in made.sections for row in section.rows)
    md, table, page, *_ = write(made, tmp_path)
    text = md.read_text(encoding="utf-8")
    tables = markdown_tables(text)
    assert [len(t) for t in tables[:3]] == [len(t) for t in markdown_tables(write_text(board, tmp_path / "plain"))[:3]]
    assert all(len({len(row) for row in t}) == 1 for t in tables)
    prose = re.sub(r"\\.", "", text)  # what is escaped is text
    assert not re.search(r"<script|!\[|\]\(javascript|\]\(http://x|~~|&lt;|^- z", prose, flags=re.M)
    assert not set(text) & set("\x1b\u202e\x00\r")
    lines = table.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + sum(len(section.rows) for section in made.sections)
    for line in csv.reader(lines[1:]):
        for cell in line:
            assert cell[:1] not in tuple("=+@-") or float(cell) <= 0
    assert (
        Page(page.read_text(encoding="utf-8")).tags <= Page((tmp_path / "plain" / "cpu.html").read_text("utf-8")).tags
    )


def write_text(board, folder):
    """The Markdown of a board."""
    return write(board, folder)[0].read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("paper", "url"),
    [
        ("arXiv:2212.09849", "https://arxiv.org/abs/2212.09849"),
        ("arXiv:cs/0112017 (a talk)", "https://arxiv.org/abs/cs/0112017"),
        ("arXiv:1)](javascript:x", None),
        ('arXiv:1"onclick=x', None),
        ("arXiv:", None),
        ("Somebody 2020", None),
        (None, None),
    ],
)
def test_only_an_arxiv_number_is_a_link(paper, url):
    assert paper_url(paper) == url


@pytest.mark.parametrize("title", ["# x", "- x", "+ x", "1. x", "2) x", "=== x", "2020 was"])
def test_a_title_begins_no_list_and_no_heading(board, title):
    first, *others = board.sections
    text = render(replace(board, sections=(replace(first, title=title), *others)))
    (line,) = (line for line in text.splitlines() if "Two networks" in line)
    assert line.replace("\\", "", 1).startswith(f"{title}. ")
    assert line.startswith(title) == (title == "2020 was")
