"""Shards: together they are the plan, each cell once; what is asked wrongly is told."""

from dataclasses import replace

import pytest

from bench.errors import BenchError
from bench.running.plan import plan
from bench.running.sharding import Shard, part, shard
from bench.suite import suite as suites


@pytest.fixture
def planned(toy, write_suite):
    return plan(suites.load(write_suite(), "smoke"), seeds=tuple(range(7)))


@pytest.mark.parametrize("count", [1, 2, 3, 8, 500])
def test_shards_are_the_plan_each_cell_once_and_as_many_as_any_other(planned, count):
    parts = [part(planned, Shard(index, count)) for index in range(1, count + 1)]
    keys = [cell.key for one in parts for cell in one.cells]
    assert sorted(keys) == sorted(cell.key for cell in planned.cells)
    sizes = {len(one.cells) for one in parts}
    assert max(sizes) - min(sizes) <= 1


def test_rows_that_ask_the_same_stay_together(planned):
    twice = replace(planned, cells=tuple(replace(c, row=replace(c.row, label="again")) for c in planned.cells))
    both = replace(planned, cells=planned.cells + twice.cells)
    for index in (1, 2):
        mine = part(both, Shard(index, 2)).cells
        assert {c.key for c in mine if c.row.label == "again"} == {c.key for c in mine if c.row.label != "again"}


def test_what_is_on_record_and_the_order_of_seeds_move_no_cell(planned):
    backwards = plan(planned.suite, seeds=tuple(reversed(range(7))))
    assert {c.key for c in part(planned, Shard(2, 3)).cells} == {c.key for c in part(backwards, Shard(2, 3)).cells}


@pytest.mark.parametrize("asked", ["", "3", "0/3", "4/3", "1/0", "-1/3", "1/3/5", "a/b", "1 / 3", "٣/٤", 3, (1, 3)])
def test_a_wrong_shard_is_told_with_what_would_be_right(asked):
    with pytest.raises(BenchError, match=r"like 1/8"):
        shard(asked)


def test_no_shard_is_none():
    assert shard(None) is None
    assert shard("3/8") == Shard(3, 8)
