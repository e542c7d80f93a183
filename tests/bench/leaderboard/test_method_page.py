"""The pages of methods: whose rows and claims they show, how their cells are run again, and that they stay small."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench import registry
from bench.leaderboard import build, front, method_page, summary, write, write_front
from bench.leaderboard.board import Origin
from bench.leaderboard.prose import html
from bench.records.store import Store
from bench.registry import Method

RECORDS = Path(__file__).with_name("records.jsonl")


@pytest.fixture(autouse=True)
def installed(kinds, monkeypatch):
    """One method that the made-up suite sets, and that has a task of its own."""
    entry = registry.SCENARIOS.get("fuse")
    own = "Merge by `grams`.\n\n- first <b>\n- second\n\n    W = G"

    def gram(task, *, share: float = 0.9, rule: str = "mean"):
        return task

    monkeypatch.setattr(sys.modules[gram.__module__], "__doc__", own)
    monkeypatch.setitem(registry.SCENARIOS.entries, "join", replace(registry.SCENARIOS.get("join"), task=entry.task))
    method = Method("gram", "merging", ("join",), frozenset({"grams"}), gram, "arXiv:2212.09849", 2023)
    monkeypatch.setitem(registry.METHODS.entries, "gram", method)


@pytest.fixture
def board(suite_of, make_claim):
    claims = (make_claim("gram", "average"), make_claim("laf", "scrub", scenario="class", paper="Somebody 2020"))
    return build(suite_of(claims), Store(RECORDS).read())


@pytest.fixture
def results(board, tmp_path):
    write(board, tmp_path / "toy")
    write(replace(board, profile="smoke"), tmp_path / "toy")
    write_front(tmp_path)
    return tmp_path


def ids(path):
    return set(re.findall(r' id="([^"]+)"', path.read_text("utf-8")))


def test_every_method_with_a_row_has_a_page_and_links_lead_there_and_back(board, results):
    methods = {row.method for section in board.sections for row in section.rows}
    assert {path.stem for path in (results / "methods").iterdir()} == methods
    for page in ("index.html", "toy/cpu.html", "methods/gram.html"):
        text = (results / page).read_text("utf-8")
        for link in re.findall(r'href="([^"#:]+\.html)(?:#([^"]+))?"', text):
            target = (results / page).parent / link[0]
            if target.name == "smoke.html" or "smoke-" in link[1]:
                continue  # methods' pages leave that profile out
            assert not link[1] or link[1] in ids(target), (page, link)
    front_page = (results / "index.html").read_text("utf-8")
    assert all(f'href="methods/{method}.html"' in front_page for method in methods)


def test_a_page_shows_the_rows_of_its_method_alone(board, results):
    (page,) = (p for p in method_page.pages(front.collect(results), results) if p.name == "transport")
    rows = {row.label: row for row in board.sections[0].rows if row.method == "transport"}
    assert {place.entry.label for place in page.places} == set(rows) == {"transport", "transport (acts)"}
    assert all(place.summary.profile == "cpu" for place in page.places)
    for place in page.places:
        assert place.entry.mean == pytest.approx(rows[place.entry.label].headline.mean, abs=1e-4)
    assert page.about is None
    assert "not installed" in method_page.render(page)


def test_a_page_tells_claims_of_both_sides(results):
    pages = {page.name: page for page in method_page.pages(front.collect(results), results)}
    assert [told.better for told in pages["laf"].claims] == [True]
    assert [told.better for told in pages["scrub"].claims] == [False]
    assert pages["mask"].claims == ()
    assert "undecided" in method_page.render(pages["scrub"])


def test_a_cell_tells_where_it_comes_from_and_how_it_is_run_again(board, results, monkeypatch):
    place = method_page.pages(front.collect(results), results)
    (acts,) = (p for page in place for p in page.places if p.entry.label == "transport (acts)")
    where = f"--profile cpu --results {results}"
    assert acts.run == f"python -m bench run suites/toy.toml {where} --only 'skewed/transport (acts)/0' --force"
    assert acts.explain == f"python -m bench explain 'skewed/transport (acts)/0' --suite suites/toy.toml {where}"
    row = next(row for row in board.sections[0].rows if row.label == "transport (acts)")
    assert acts.entry.origins == row.origins
    assert {(o.status, o.commit, o.code) for o in row.origins} == {("ok", "abc", "as it was")}
    text = (results / "methods" / "transport.html").read_text("utf-8")
    assert all(origin.key in text for origin in row.origins)
    monkeypatch.chdir(results)
    here = method_page.pages(front.collect(results), Path("results"))
    assert all("--results" not in p.run for page in here for p in page.places)


def test_a_method_says_what_it_is_and_sees(results):
    text = (results / "methods" / "gram.html").read_text("utf-8")
    assert "<li>first &lt;b&gt;</li><li>second</li>" in text
    assert "<p>Merge by <code>grams</code>.</p>" in text
    assert "<dd><code>grams</code> (grams)</dd>" in text
    assert "<code>parents</code> (needs weights)" in text
    assert re.search(r"<code>share</code></td><td[^>]*><code>0.9</code></td><td[^>]*>number", text)


def test_what_is_not_of_ours_stays_and_old_pages_go(results):
    folder = results / "methods"
    (folder / "note.html").write_text("mine")
    (folder / "gone.html").write_text((folder / "gram.html").read_text("utf-8"), encoding="utf-8")
    (folder / "laf.html").write_text("mine too")
    _, left = write_front(results)
    assert [path.name for path in left] == ["laf.html"]
    assert (folder / "note.html").read_text() == "mine"
    assert not (folder / "gone.html").exists()


def test_pages_stay_small(board, results, monkeypatch):
    many = tuple(Origin(seed, "ok", "0" * 20, "0" * 12, "2026-01-01", "as it was") for seed in range(20_000))
    section = board.sections[0]
    section = replace(section, rows=tuple(replace(row, origins=many) for row in section.rows))
    write(replace(board, sections=(section,)), results / "toy")
    write_front(results)
    page = results / "methods" / "transport.html"
    assert page.stat().st_size < 1_500_000
    assert "15000 more cells stand in <code>cpu.jsonl</code>" in page.read_text("utf-8")


def test_summaries_keep_parameters_to_the_last_digit(board, tmp_path):
    section = board.sections[0]
    rows = tuple(replace(row, params={"lr": 1e-7, "deep": {"a": [1, {"b": None}]}}) for row in section.rows)
    path = write(replace(board, sections=(replace(section, rows=rows),)), tmp_path)[4]
    assert all(row.params == rows[0].params for row in summary.read(path).boards[0].rows)


def test_prose_keeps_paragraphs_lists_and_formulas():
    assert html("One\ntwo.\n\n    a < b\n\n- `x`:\n  more") == (
        "<p>One two.</p>\n<pre>a &lt; b</pre>\n<ul><li><code>x</code>: more</li></ul>"
    )
