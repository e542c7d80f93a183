"""Line charts: what is drawn, where lines and names stand."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.leaderboard import chart
from bench.leaderboard.building import build


@pytest.fixture
def section(suite, record):
    """Each row of `skewed` with a curve that ends at its accuracy."""
    rows = {"average": 20, "parent-0": 55, "gram": 70, "transport": 60, "ensemble": 80}
    made = [
        record(label, seed, right, curves={"accuracy": [(0.5, right / 200), (1.0, right / 100)]})
        for label, right in rows.items()
        for seed in range(2)
    ]
    return build(suite, [*made, record("transport (acts)", 0, 50)]).sections[0]


def test_ranked_rows_and_the_two_ends_of_the_scale_have_lines(section):
    (drawn,) = chart.charts(section)
    assert drawn.unit == ", %"
    assert [(line.label, line.colour) for line in drawn.lines] == [
        ("ensemble", "upper"),
        ("gram", "c0"),
        ("transport", "c1"),
        ("average", "lower"),
    ]
    assert len({(line.colour, line.dash) for line in drawn.lines}) == len(drawn.lines)


def test_better_stands_higher_and_later_to_the_right(section):
    (drawn,) = chart.charts(section)
    ends = [line.end for line in drawn.lines]
    assert all(a[1] < b[1] for a, b in pairwise(ends))
    assert {x for x, _ in ends} == {chart.RIGHT}
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in drawn.lines[1].points.split())
    assert (x0, x1) == ((chart.LEFT + chart.RIGHT) / 2, chart.RIGHT)
    assert chart.TOP <= y1 < y0 <= drawn.floor
    assert [text for _, text in drawn.y_ticks] == ["20", "40", "60", "80"]
    assert [text for _, text in drawn.x_ticks] == ["0", "25", "50", "75", "100"]


def test_a_level_curve_has_an_axis(suite, record):
    level = record("gram", 0, 50, curves={"accuracy": [(0.5, 0.5), (1.0, 0.5)]})
    (drawn,) = chart.charts(build(suite, [level]).sections[0])
    assert chart.TOP < drawn.lines[0].end[1] < drawn.floor


def test_no_curves_no_chart(suite, record):
    assert chart.charts(build(suite, [record("gram", 0, 50)]).sections[0]) == []


@given(st.lists(st.floats(0, 300), min_size=1, max_size=20))
def test_names_stand_apart_in_the_order_of_their_lines(wanted):
    places = chart.apart(wanted, 14.0, 0.0, 300.0)
    assert all(-0.1 <= place <= 300.1 for place in places)
    ordered = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    assert all(places[b] - places[a] >= 13.8 for a, b in pairwise(ordered))


def test_names_with_room_stand_where_they_want():
    assert chart.apart([200.0, 20.0, 100.0], 14.0, 0.0, 300.0) == [200.0, 20.0, 100.0]
    assert chart.apart([100.0, 100.0], 14.0, 0.0, 300.0) == [93.0, 107.0]
