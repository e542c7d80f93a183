"""The pages of committed results in a real browser, at the widths of a phone, a tablet and a desk.

Needs chromium and Playwright's Python package, which only `tox -e long` installs.
"""

from __future__ import annotations

import csv
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.cli import boards
from bench.leaderboard import write, write_front
from bench.leaderboard.measures import number, quantity
from bench.metrics.metric import Metric
from bench.suite import suite as suites

sync_api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright; `tox -e long` installs it")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH")

RESULTS = Path(__file__).parents[2] / "results"
SUITES = ("cifar", "digits")
WIDTHS = (400, 900, 1400)
PAGES = ("index.html", "cifar/cpu.html", "methods/regmean.html")
ACCURACY = Metric("accuracy", "%", higher_is_better=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Boards, front and methods' pages, written by today's code from committed records."""
    folder = tmp_path_factory.mktemp("site") / "results"
    for name in SUITES:
        (folder / name).mkdir(parents=True)
        for ending in ("jsonl", "looks.jsonl"):
            shutil.copy(RESULTS / name / f"cpu.{ending}", folder / name)
        write(boards.board(suites.load(name, "cpu"), folder / name / "cpu.jsonl"), folder / name)
    write_front(folder)
    return folder


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Reader:
    """Somebody with a browser: what the page has asked for and complained of, and how often was clicked."""

    def __init__(self, browser: Any, site: Path, width: int = 1400) -> None:
        self.site = site
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.requests: list[str] = []
        self.said: list[str] = []
        self.clicks = 0
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))

    def open(self, place: str = "index.html") -> Any:
        self.page.goto(self.site.as_uri() + "/" + place)
        return self.page

    def click(self, locator: Any) -> Any:
        self.clicks += 1
        locator.click()
        return self.page


@pytest.fixture
def reader(chromium: Any, site: Path) -> Iterator[Reader]:
    one = Reader(chromium, site)
    yield one
    assert one.said == []
    assert all(url.startswith("file://") for url in one.requests)
    one.page.close()


@pytest.fixture(scope="module")
def lines(site: Path) -> list[dict[str, str]]:
    """The CSV of the boards of CIFAR-10."""
    return list(csv.DictReader((site / "cifar" / "cpu.csv").read_text(encoding="utf-8").splitlines()))


def of(lines: list[dict[str, str]], scenario: str) -> list[dict[str, str]]:
    return [line for line in lines if line["scenario"] == scenario]


def labels(page: Any, scenario: str) -> list[str]:
    """Of the rows of a board that are to be seen."""
    return (
        page.locator(f"#s-{scenario} table.board >> nth=0").locator("tbody tr:not([hidden]) .label").all_inner_texts()
    )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("place", PAGES)
def test_a_page_is_quiet_needs_no_host_and_fits(chromium: Any, site: Path, place: str, width: int) -> None:
    reader = Reader(chromium, site, width)
    page = reader.open(place)
    assert reader.said == []
    assert reader.requests == [(site / place).as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = page.evaluate(
        "[...document.querySelectorAll('h1, h2, .filter, nav')].map((e) => e.getBoundingClientRect().right)"
    )
    assert max(boxes) <= width
    assert page.evaluate("document.querySelectorAll('h1').length") == 1
    reader.page.close()


def test_a_board_shows_what_its_csv_says(reader: Reader, lines: list[dict[str, str]]) -> None:
    page = reader.open("cifar/cpu.html")
    found = page.evaluate(
        """() => [...document.querySelectorAll("section[id^=s-]")].flatMap((section) => {
          const table = section.querySelector("table.board");
          const at = (name) => table.querySelector(`th[data-column="${name}"]`)?.cellIndex;
          const value = (row, name) => (at(name) === undefined ? null : row.cells[at(name)].dataset.v ?? "");
          return [...table.tBodies[0].rows].map((row) => [section.id.slice(2), row.querySelector(".label").textContent,
            value(row, "score"), value(row, "rank"), value(row, "seconds"), value(row, "gap_closed")]);
        })"""
    )
    assert [(scenario, label) for scenario, label, *_ in found] == [(x["scenario"], x["label"]) for x in lines]
    for (_, _, *values), line in zip(found, lines, strict=True):
        for value, name in zip(values, ("mean", "rank", "seconds", "gap_closed"), strict=True):
            if value is not None:
                assert (value == "") == (line[name] == ""), (line["label"], name)
                assert value == "" or float(value) == pytest.approx(float(line[name]), rel=1e-5, abs=1e-6)


def test_a_board_sorts_by_keyboard(reader: Reader, lines: list[dict[str, str]]) -> None:
    page = reader.open("cifar/cpu.html")
    heading = page.locator("#s-fuse-iid th[data-column=seconds] .sort >> nth=0")
    heading.focus()
    assert "seconds" in page.locator("#tip").inner_text()
    page.keyboard.press("Enter")
    by_cost = sorted(of(lines, "fuse-iid"), key=lambda line: float(line["seconds"] or "inf"))
    assert labels(page, "fuse-iid") == [line["label"] for line in by_cost]
    assert page.locator("#s-fuse-iid th[aria-sort=ascending]").count() == 1
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert labels(page, "fuse-iid") == [line["label"] for line in of(lines, "fuse-iid")]


def test_boards_filter_by_family_and_text(reader: Reader, lines: list[dict[str, str]]) -> None:
    page = reader.open("cifar/cpu.html")
    page.locator("select[name=family]").select_option("merging")
    kept = [x["label"] for x in of(lines, "merge") if x["family"] == "merging" or x["role"] in ("lower", "upper")]
    assert labels(page, "merge") == kept
    assert page.locator("#s-squeeze").is_hidden()
    page.locator(".filter input").fill("regmean")
    assert all("regmean" in label for label in labels(page, "merge"))
    page.locator(".filter button").click()
    page.locator("#s-squeeze").wait_for(state="visible")  # the form is empty first, and then the rows come back


def test_the_front_is_searched(reader: Reader) -> None:
    page = reader.open()
    page.locator(".filter input").fill("regmean averaging")
    left = page.locator("[data-row]:visible").all_inner_texts()
    assert left
    assert all("averaging" in text.lower() for text in left)
    page.locator(".filter input").fill("")
    assert page.locator("#suite-digits").is_visible()
    page.goto("about:blank")
    assert reader.open("index.html#q=laf").locator(".filter input").input_value() == "laf"


def test_links_lead_into_folded_parts(reader: Reader) -> None:
    page = reader.open("cifar/cpu.html")
    claim = page.locator("#claims-undecided tr[id]").first.get_attribute("id")
    assert page.locator(f"#{claim}").is_hidden()
    reader.open(f"cifar/cpu.html#{claim}")
    assert page.locator(f"#{claim}").is_visible()
    page.goto("about:blank")
    page = reader.open("methods/regmean.html#cifar-cpu-r-merge-regmean")
    assert page.locator("#cifar-cpu-r-merge-regmean .command").first.is_visible()


def test_the_front_of_costs_is_drawn(reader: Reader, lines: list[dict[str, str]]) -> None:
    page = reader.open("cifar/cpu.html")
    page.locator("#pareto-fuse-iid > summary").focus()
    page.keyboard.press("Enter")
    part = page.locator("#pareto-fuse-iid")
    part.locator("svg").wait_for()
    drawn = [line for line in of(lines, "fuse-iid") if line["role"] in ("", "unranked", "lower", "upper")]
    shown = [line for line in drawn if line["mean"] and line["seconds"]]
    assert part.locator("svg a").count() == len(shown)
    ranked = [line for line in shown if line["rank"]]
    best: list[str] = []
    for line in sorted(ranked, key=lambda x: (float(x["seconds"]), -float(x["mean"]))):
        if all(float(line["mean"]) > float(x["mean"]) for x in ranked if x["label"] in best):
            best.append(line["label"])
    assert part.locator("[data-front=seconds] .label").all_inner_texts() == best
    assert set(part.locator("svg a.on text").all_text_contents()) == set(best)
    part.locator("select").select_option("gflops")
    assert "GFLOPs" in str(part.locator("svg").get_attribute("aria-label"))


def test_which_method_is_best_without_data_on_cifar_and_at_what_price(
    reader: Reader, lines: list[dict[str, str]]
) -> None:
    (best,) = (line for line in of(lines, "datafree") if line["rank"] == "1")
    page = reader.open()
    card = page.locator("#suite-cifar li", has_text="datafree board")
    assert card.inner_text().startswith(best["label"])
    page = reader.click(card.locator("a"))
    row = page.locator("tr:target").inner_text()
    for told in (best["label"], number(ACCURACY, float(best["mean"])), quantity(float(best["seconds"]))):
        assert told in row
    assert reader.clicks <= 2


def test_whether_regmean_beats_averaging(reader: Reader) -> None:
    page = reader.click(reader.open().locator("#methods a.label", has_text=re.compile("^regmean$")))
    told = page.locator("#claims tr", has_text="regmean over average")
    verdicts = told.locator(".badge").all_inner_texts()
    assert len(verdicts) >= 2
    assert all(
        word in ("holds", "fails", "equal", "undecided") for text in verdicts for word in [text.split("\n")[-1][1:]]
    )
    page = reader.click(told.locator(".badge").first)
    assert re.search(r"\[.+, .+\]", page.locator("tr:target").inner_text())
    assert reader.clicks <= 2


def test_what_laf_may_see(reader: Reader) -> None:
    page = reader.click(reader.open().locator("#methods a.label", has_text=re.compile("^laf$")))
    granted, _, withheld = page.locator("#sees dd").all_inner_texts()
    registry.discover()
    assert set(re.findall(r"\((.*?)\)", granted)) == registry.METHODS.get("laf").access
    assert "labels" in withheld
    assert reader.clicks <= 2


def test_how_a_row_is_run_again(reader: Reader) -> None:
    page = reader.click(reader.open().locator("#methods a.label", has_text=re.compile("^laf$")))
    page = reader.click(page.locator("#results a.label").first)
    command = shlex.split(page.locator(".cells[open] .command").first.inner_text())
    assert command[:4] == ["python", "-m", "bench", "run"]
    scenario, label, seed = command[command.index("--only") + 1].split("/")
    suite = suites.load(command[4], command[command.index("--profile") + 1])
    assert label in [row.label for row in suite.scenarios[scenario].rows]
    assert page.locator(".cells[open] tbody tr").first.inner_text().split()[0] == seed
    assert reader.clicks <= 2


def test_whether_a_difference_is_real(reader: Reader, lines: list[dict[str, str]]) -> None:
    (best,) = (line for line in of(lines, "datafree") if line["rank"] == "1")
    (second,) = (line for line in of(lines, "datafree") if line["rank"] == "2")
    page = reader.click(reader.open().locator("#suite-cifar li", has_text="datafree board").locator("a"))
    row = page.locator("#s-datafree tr", has_text=second["label"]).first.inner_text()
    points = [number(ACCURACY, float(second[name]), sign=True) for name in ("difference_low", "difference_high")]
    assert second["above"] == best["label"]
    assert f"[{', '.join(points)}]" in row
    assert reader.clicks <= 2
