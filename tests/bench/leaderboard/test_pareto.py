"""Which rows no other one beats in score and cost at once."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.leaderboard import build, page, pareto
from bench.leaderboard.board import Estimate
from bench.records.store import Store

RECORDS = Path(__file__).with_name("records.jsonl")
ALL = tuple(pareto.COSTS)


@pytest.fixture
def board(suite):
    return build(suite, Store(RECORDS).read())


def with_rows(section, *rows):
    """Ranked rows `(label, score, seconds)` in place of the section's."""
    made = []
    for place, (label, score, seconds) in enumerate(rows, 1):
        costs = replace(section.rows[0].costs, seconds=seconds)
        made.append(replace(section.rows[1], label=label, rank=place, headline=Estimate(score), costs=costs))
    return replace(section, rows=tuple(made))


def front(section):
    return pareto.fronts(section, ["seconds"])[0].labels


def test_a_row_is_on_the_front_if_all_cheaper_ones_are_worse(board):
    rows = [("best", 0.9, 50.0), ("beaten", 0.8, 60.0), ("good", 0.8, 5.0), ("cheap", 0.1, 1.0), ("unseen", 0.99, None)]
    assert front(with_rows(board.sections[0], *rows)) == ("cheap", "good", "best")


def test_of_equal_rows_one_is_on_the_front(board):
    assert front(with_rows(board.sections[0], ("a", 0.5, 1.0), ("b", 0.5, 1.0), ("c", 0.5, 2.0))) == ("a",)


def test_where_less_is_better_the_front_goes_down(board):
    section = board.sections[1]
    assert not section.ranked_by.higher_is_better
    assert front(with_rows(section, ("a", 0.5, 1.0), ("b", 0.7, 2.0), ("c", 0.2, 3.0))) == ("a", "c")


def test_references_and_costs_without_a_column_have_no_front(board):
    section = board.sections[0]
    unranked = replace(section, rows=tuple(replace(row, rank=None) for row in section.rows))
    assert pareto.fronts(unranked, ALL) == ()
    assert [found.cost for found in pareto.fronts(section, ["gflops", "seconds"])] == ["seconds", "gflops"]


def test_the_page_tells_the_front_without_its_script(board):
    text = page.render(board)
    (found, *_) = pareto.fronts(board.sections[0], ["seconds"])
    told = ", ".join(f'<span class="label">{label}</span>' for label in found.labels)
    assert f'<li data-front="seconds">By seconds, the cheapest first: {told}</li>' in text
    assert 'id="pareto-skewed"' in text
