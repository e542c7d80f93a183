"""The pages in a real browser: sorting, filtering, links into folded parts, help by keyboard. Needs chromium."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.leaderboard import build, write, write_front
from bench.records.store import Store

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")

TRY = """
<script>
const found = {};
const board = document.querySelector("table.board");
const rows = () => [...board.tBodies[0].rows].filter((row) => !row.hidden);
const labels = () => rows().map((row) => row.querySelector(".label").textContent);
const heading = (text) => [...board.querySelectorAll(".sort")].find((button) => button.textContent === text);
found.asIs = labels();
heading("seconds").click();
found.cheapest = labels();
found.sorted = heading("seconds").closest("th").getAttribute("aria-sort");
heading("seconds").click();
found.dearest = labels();
heading("seconds").click();
found.again = labels();
heading("gap closed").focus();
document.querySelector(".filter input").value = "transport acts";
document.querySelector(".filter").dispatchEvent(new Event("input"));
found.filtered = labels();
found.hidden = [...document.querySelectorAll("[data-box]")].filter((box) => box.hidden).map((box) => box.id);
found.told = document.querySelector(".filter output").textContent;
heading("gap closed").dispatchEvent(new FocusEvent("focusin", { bubbles: true }));
found.help = document.getElementById("tip").textContent;
document.querySelector(".filter").reset();
found.wasOpen = document.getElementById("claims-undecided").open;
location.hash = "#c-laf-scrub";
setTimeout(() => {
  found.open = document.getElementById("claims-undecided").open;
  found.cleared = labels();
  found.requests = performance.getEntriesByType("resource").map((entry) => entry.name);
  const told = document.createElement("pre");
  told.id = "found";
  told.textContent = JSON.stringify(found);
  document.body.append(told);
}, 200);
</script></body>"""


def dom(page, folder, place=""):
    """The page's document after its scripts, and what the browser wrote to its console."""
    words = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    words += ["--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom", page.as_uri() + place]
    done = subprocess.run([CHROMIUM, *words], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def found_in(text):
    """What `TRY` has left."""
    return json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', text, flags=re.DOTALL)[1]))


def test_a_board_sorts_filters_and_opens_what_links_lead_to(suite_of, make_claim, tmp_path):
    claims = (make_claim("gram", "average"), make_claim("laf", "scrub", scenario="class"))
    board = build(suite_of(claims), Store(Path(__file__).with_name("records.jsonl")).read())
    page = write(board, tmp_path)[2]
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", TRY), encoding="utf-8")
    text, console = dom(page, tmp_path)
    assert console == []
    found = found_in(text)
    rows = board.sections[0].rows
    assert found["asIs"] == found["again"] == found["cleared"] == [row.label for row in rows]
    by_cost = sorted(rows, key=lambda row: row.costs.seconds)
    assert found["cheapest"] == [row.label for row in by_cost]
    assert found["dearest"] == [row.label for row in reversed(by_cost)]
    assert found["sorted"] == "ascending"
    assert found["filtered"] == ["transport (acts)"]
    assert found["hidden"] == ["s-class"]
    assert found["told"] == "1 of 11 rows left"
    assert found["help"].startswith("How far the row comes from the lower reference")
    assert (found["wasOpen"], found["open"]) == (False, True)
    assert found["requests"] == []


SEARCH = """
<script>
const left = (selector) => [...document.querySelectorAll(selector)].filter((e) => !e.hidden && !e.closest("[hidden]"));
const found = { asked: document.querySelector(".filter input").value };
found.boxes = left("[data-box]").map((box) => box.id);
found.rows = left("tr[data-row]").map((row) => row.querySelector(".label, .badge").textContent);
document.querySelector(".filter").reset();
setTimeout(() => {
  found.all = left("[data-box]").length;
  const told = document.createElement("pre");
  told.id = "found";
  told.textContent = JSON.stringify(found);
  document.body.append(told);
}, 200);
</script></body>"""


def test_the_front_is_searched_by_a_link(suite_of, make_claim, tmp_path):
    write(
        build(suite_of((make_claim("gram", "average"),)), Store(Path(__file__).with_name("records.jsonl")).read()),
        tmp_path / "toy",
    )
    write_front(tmp_path)
    page = tmp_path / "index.html"
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", SEARCH), encoding="utf-8")
    text, console = dom(page, tmp_path, "#q=laf")
    assert console == []
    found = found_in(text)
    assert found["asked"] == "laf"
    assert found["boxes"] == ["suite-toy", "heat-forget", "methods"]
    assert found["rows"] == ["laf", "laf"]
    assert found["all"] == 5
