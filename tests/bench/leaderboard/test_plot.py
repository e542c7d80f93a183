import pytest

from bench.leaderboard.plot import MARGIN, WIDTH, axis


def test_all_means_stand_between_the_edges_in_order():
    scale = axis("%", [(0.5, 0.45, 0.55), (0.6, 0.58, 0.62), (0.9, 0.88, 0.92)])
    marks = [scale.mark(*bar) for bar in [(0.5, 0.45, 0.55), (0.6, 0.58, 0.62), (0.9, 0.88, 0.92)]]
    xs = [mark.x for mark in marks]
    assert xs == sorted(xs)
    assert xs[0] >= MARGIN
    assert xs[-1] <= WIDTH - MARGIN
    assert not any(mark.cut_low or mark.cut_high for mark in marks)
    assert marks[0].low < marks[0].x < marks[0].high


def test_an_interval_that_dwarfs_the_means_is_cut_and_marked():
    bars = [(0.5, 0.49, 0.51), (0.52, 0.51, 0.53), (0.55, -0.4, 1.0)]
    mark = axis("%", bars).mark(*bars[2])
    assert (mark.cut_low, mark.cut_high) == (True, True)
    assert (mark.low, mark.high) == (MARGIN, WIDTH - MARGIN)


@pytest.mark.parametrize(
    ("unit", "bars", "texts"),
    [
        ("%", [(0.2, None, None), (0.8, None, None)], ["20", "40", "60", "80"]),
        ("points", [(0.02, 0.015, 0.025), (0.031, 0.03, 0.032)], ["1.5", "2.0", "2.5", "3.0"]),
        ("nats", [(-1.0, None, None), (1.0, None, None)], ["−1.0", "−0.5", "0.0", "0.5", "1.0"]),
    ],
)
def test_ticks_are_round_numbers_in_the_unit_of_the_table(unit, bars, texts):
    ticks = axis(unit, bars).ticks()
    assert [text for _, text in ticks] == texts
    assert all(MARGIN <= x <= WIDTH - MARGIN for x, _ in ticks)


def test_one_mean_alone_has_an_axis():
    scale = axis("%", [(0.0, None, None)])
    assert scale.low < 0 < scale.high
    assert scale.mark(0.0, None, None).low is None


def test_what_else_must_be_seen_is_on_the_axis():
    scale = axis("%", [(0.3, 0.2, 0.4)], also=(0.0,))
    assert scale.low <= 0
