"""What another machine finds, held against the spread of a row's own seeds."""

import pytest
from scipy import stats

from bench.vouching.reproduce import Reproduced, line, spread


def found(**more):
    told = {"name": "a/b/0", "metric": "accuracy", "on_record": 0.5, "here": 0.52, "low": 0.4, "high": 0.6}
    return Reproduced(**(told | {"difference": "accuracy 0.5, and now 0.52"} | more))


def test_the_spread_is_where_one_more_seed_would_lie():
    low, high = spread([0.5, 0.6, 0.7])
    half = stats.t.ppf(0.975, 2) * 0.1 * (1 + 1 / 3) ** 0.5
    assert (low, high) == pytest.approx((0.6 - half, 0.6 + half))
    assert spread([0.5]) == (None, None)


def test_another_seed_of_a_row_lies_within_in_95_of_100():
    draws = stats.norm.rvs(size=(4000, 5), random_state=7)
    inside = [low <= last <= high for *seeds, last in draws.tolist() for low, high in [spread(seeds)]]
    assert sum(inside) / len(inside) == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize(
    ("changes", "within", "said"),
    [
        ({"difference": None, "here": 0.5}, True, "equal   a/b/0: to the last digit"),
        ({}, True, "within  a/b/0: accuracy 0.5200, on record 0.5000; the row's seeds: [0.4000, 0.6000]"),
        ({"here": 0.3}, False, "OUTSIDE a/b/0: accuracy 0.3000"),
        ({"here": None}, None, "unknown a/b/0: accuracy no result"),
        ({"low": None, "high": None}, None, "the row has one seed"),
    ],
)
def test_each_cell_is_told(changes, within, said):
    one = found(**changes)
    assert one.within is within
    assert said in line(one)
