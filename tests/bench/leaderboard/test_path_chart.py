"""The way between two aligned networks: what is drawn, what the key says, and that boards without one say nothing."""

import csv
import re

import pytest

from bench.leaderboard import chart, path_chart, write
from bench.leaderboard.building import build


def way(height, first=0.2, last=0.4):
    """Up from `first` by `height` at a quarter and the half above the chord, then down to `last`."""
    chord = [first + (last - first) * x / 4 for x in range(5)]
    rise = [0, height / 2, height, height / 4, 0]
    return [(x / 4, c + r) for x, (c, r) in enumerate(zip(chord, rise, strict=True))]


def told(record, label, seed, right, height):
    curves = {f"{what}_{split}": way(height) for what in ("loss", "error") for split in ("test", "train")}
    metrics = {"barrier": height, "barrier_train": height / 2, "error_barrier": height, "error_barrier_train": 0.0}
    return record(label, seed, right, curves=curves, metrics=metrics)


@pytest.fixture
def board(suite, record):
    heights = {"average": 1.0, "gram": 0.2, "transport": 0.0}
    made = [told(record, label, seed, 80, height) for label, height in heights.items() for seed in range(2)]
    return build(suite, [*made, record("ensemble", 0, 90), told(record, "parent-0", 0, 70, 3.0)])


def test_loss_and_error_have_a_figure_each_with_both_splits(board):
    loss, error = path_chart.figures(board.sections[0])
    assert (loss.barrier, error.barrier) == ("loss barrier, nats", "error barrier, points")
    for figure in (loss, error):
        assert [panel.title for panel in figure.panels] == ["test images", "training images"]
        assert [len(panel.lines) for panel in figure.panels] == [3, 3]  # the lower reference too, other references not
    assert [text for _, text in loss.y_ticks][:2] == ["0.2", "0.4"]
    assert [text for _, text in error.y_ticks][:2] == ["20", "40"]
    assert chart.charts(board.sections[0]) == []


def test_the_key_is_in_the_order_of_the_middles_and_tells_the_metrics(board):
    loss, error = path_chart.figures(board.sections[0])
    assert [k.label for k in loss.key] == ["average", "gram", "transport"]
    assert [[text for _, text in k.values] for k in loss.key] == [["1.000", "0.500"], ["0.200", "0.100"], ["0.000"] * 2]
    assert [text for _, text in error.key[1].values] == ["20.0", "0.0"]
    assert len({(k.colour, k.dash) for k in loss.key}) == 3
    assert (loss.key[0].colour, loss.key[0].dash) == ("lower", "2 3")


def test_points_lie_where_they_should_and_the_dot_on_the_highest_excess(board):
    figure = path_chart.figures(board.sections[0])[0]
    panel = figure.panels[1]
    lines = {(line.colour, line.dash): line for line in panel.lines}
    average = next(k for k in figure.key if k.label == "average")
    line = lines[average.colour, average.dash]
    points = [tuple(map(float, point.split(","))) for point in line.points.split()]
    assert [x for x, _ in points] == [panel.left + share * path_chart.PANEL for share in (0, 0.25, 0.5, 0.75, 1)]
    assert all(path_chart.TOP <= y <= figure.floor for _, y in points)
    assert line.peak == points[2]
    assert points[2][1] < points[1][1] < points[0][1]  # higher values stand higher
    assert sum(own.peak is None for own in panel.lines) == 1  # `transport` rises nowhere


def test_one_split_alone_has_one_panel(suite, record):
    seen = record("gram", 0, 50, curves={"loss_test": way(0.5)}, metrics={"barrier": 0.5})
    (figure,) = path_chart.figures(build(suite, [seen]).sections[0])
    assert [panel.title for panel in figure.panels] == ["test images"]
    assert [text for _, text in figure.columns] == ["test"]


def test_all_forms_of_a_board_tell_barriers(board, tmp_path):
    files = {path.suffix: path.read_text(encoding="utf-8") for path in write(board, tmp_path)}
    tables = [block for block in files[".md"].split("## ") if block.startswith(("skewed", "class"))]
    assert ["loss barrier, nats (" in t or "| loss barrier, nats |" in t for t in tables] == [True, False]
    cells = [c.strip() for c in next(x for x in tables[0].splitlines() if "`gram`" in x).split("|")]
    assert cells[5] == "0.200"
    lines = {line["label"]: line for line in csv.DictReader(files[".csv"].splitlines())}
    assert float(lines["gram"]["metric.barrier"]) == 0.2
    assert lines["ensemble"]["metric.barrier"] == ""
    page = files[".html"]
    assert page.count('<svg class="lines ways"') == 2
    assert "the straight line between its two end values" in " ".join(page.split())
    assert "<dt>Loss barrier</dt>" in page
    assert "<dt>Curves</dt>" not in page  # which is about training budgets
    assert ".ways" in page


def test_without_a_way_nothing_is_said_of_one(suite, record, tmp_path):
    seen = record("gram", 0, 50, curves={"accuracy": [(0.5, 0.2), (1.0, 0.4)]})
    for path in write(build(suite, [seen]), tmp_path):
        assert not re.search(r"barrier|\.ways|λ|Tuned|trials", path.read_text(encoding="utf-8")), path.name
