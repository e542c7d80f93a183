"""What a monitor saw comes onto the boards: mean curves, the first seed's picture, costs; and nothing else changes."""

import base64
import csv
import re

import numpy as np
import pytest

from bench.leaderboard import write
from bench.leaderboard.building import build
from bench.records import png


def picture(value):
    return base64.b64encode(png.encode(png.grid(np.full((20, 1, 8, 8), value, dtype=np.uint8)))).decode()


COSTS = {"seconds": 5.0, "synthesis_seconds": 3.0, "distillation_seconds": 2.0, "images_kept": 64}


@pytest.fixture
def records(record):
    """`gram` is seen on all three seeds, but shows pictures on the last two; `average` is not seen."""
    curves = [[(0.5, 0.2), (1.0, 0.4)], [(0.5, 0.4), (1.0, 0.6)], [(0.25, 0.2), (0.75, 0.4), (1.0, 0.8)]]
    gram = [
        record(
            "gram",
            seed,
            60 + seed,
            curves={"accuracy": curve},
            pictures={"images": picture(seed)} if seed else {},
            costs=COSTS | {"images_kept": 64 * seed},
        )
        for seed, curve in enumerate(curves)
    ]
    return [*gram, *(record("average", seed, 50) for seed in range(3))]


@pytest.fixture
def board(suite, records):
    return build(suite, records)


@pytest.fixture
def files(board, tmp_path):
    return {path.suffix: path.read_text(encoding="utf-8") for path in write(board, tmp_path)}


def test_curves_are_means_at_the_first_seeds_points(board):
    gram = board.sections[0].rows[0]
    assert gram.label == "gram"
    (curve,) = gram.curves.values()
    assert [x for x, _ in curve] == [0.5, 1.0]
    assert [y for _, y in curve] == pytest.approx([0.3, 0.6])  # the third seed was at 0.3 halfway between its points


def test_a_curve_is_not_drawn_beyond_what_every_seed_saw(suite, record):
    seen = [record("gram", s, 50, curves={"accuracy": [(0.5, 0.2), (e, 0.4)]}) for s, e in enumerate((1.0, 0.9))]
    assert build(suite, seen).sections[0].rows[0].curves == {"accuracy": ((0.5, 0.2),)}
    apart = [record("gram", s, 50, curves={"accuracy": [(e, 0.4)]}) for s, e in enumerate((1.0, 0.9))]
    assert build(suite, apart).sections[0].rows[0].curves == {}


def test_the_picture_is_that_of_the_first_seed_that_has_one(board, files):
    assert board.sections[0].rows[0].pictures["images"].seed == 1
    assert f'src="data:image/png;base64,{picture(1)}"' in files[".html"]
    assert picture(2) not in files[".html"]


def test_the_page_enlarges_by_a_whole_number_says_what_is_seen_and_loads_nothing(files):
    (image,) = re.findall(r"<img [^>]*>", files[".html"])
    assert 'width="356" height="68"' in image  # four times 89 by 17
    assert 'alt="Images of gram, seed 1"' in image
    assert "image-rendering: pixelated" in files[".html"]
    assert "Accuracy, %, over the budget" in files[".html"]
    assert all(source.startswith("data:image/png;base64,") for source in re.findall(r'src="([^"]*)"', files[".html"]))
    for term in ("Synth. and distill.", "Curves", "Pictures"):
        assert f"<dt>{term}</dt>" in files[".html"]


def test_costs_stand_in_the_tables_of_their_scenario_only(files):
    tables = [block for block in files[".md"].split("## ") if block.startswith(("skewed", "class"))]
    assert ["synth. s" in table for table in tables] == [True, False]
    gram = next(line for line in tables[0].splitlines() if "`gram`" in line)
    assert [cell.strip() for cell in gram.split("|")[-3:-1]] == ["3.00", "2.00"]
    assert "- 1 more column stands" in tables[0]
    assert '<td data-v="64">64.0</td>' in files[".html"]
    lines = {line["label"]: line for line in csv.DictReader(files[".csv"].splitlines())}
    assert float(lines["gram"]["images_kept"]) == 64
    assert float(lines["gram"]["synthesis_seconds"]) == 3
    assert lines["average"]["synthesis_seconds"] == ""


def test_what_is_not_there_leaves_no_trace(suite, record, tmp_path):
    for path in write(build(suite, [record("gram", 0, 50)]), tmp_path):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"synth|gallery|<img|polyline|Pictures|over the budget", text), path.name


def test_rows_named_by_others_stay_text(suite, record, tmp_path):
    evil = '"><script>'
    seen = record("gram", 0, 50, curves={evil: [(1.0, 0.5)]}, pictures={evil: picture(0)})
    for path in write(build(suite, [seen]), tmp_path):
        assert path.read_text(encoding="utf-8").count("<script>") == (path.suffix == ".html")  # ours
