"""Several boards in two tables: how many claims are decided, and how each paper fares."""

from dataclasses import replace

import pytest

from bench.leaderboard import replication
from bench.leaderboard.building import build
from bench.schema.tables import Effort

OWN = "arXiv:2212.09849"


def some(record, label, right, seeds=3, **more):
    return [record(label, seed, right + seed % 3 - 1, **more) for seed in range(seeds)]


@pytest.fixture
def board(suite_of, make_claim, record):
    """Two claims of one paper, one near its own setting; one of another paper, and one without a look."""
    suite = suite_of(
        (
            make_claim("gram", "average"),
            make_claim("gram", "parent-0", scenario="own"),
            make_claim("transport", "gram", paper="arXiv:1910.05653"),
            make_claim("ensemble", "gram", paper="folklore"),
        )
    )
    own = replace(suite.scenarios["skewed"], name="own", setting_of=(OWN,))
    suite = replace(suite, scenarios=suite.scenarios | {"own": own})
    rows = {"gram": 20, "average": 60, "transport": 27}
    records = [r for label, right in rows.items() for r in some(record, label, right)]
    theirs = {"gram": 90, "parent-0": 30}
    records += [r for label, right in theirs.items() for r in some(record, label, right, scenario="own", kind="join")]
    return build(suite, records)


def test_claims_are_counted_by_answer_and_by_the_seeds_that_they_need(board):
    [tally] = replication.tallies({"toy": board})
    assert (tally.claims, tally.answers) == (4, {"holds": 1, "fails": 1, "undecided": 2})
    assert tally.seeds == {"6": 1, "no look yet": 1}
    assert [v.seeds_needed is not None for v in board.claims] == [False, False, True, False]


def test_a_paper_is_told_by_its_own_setting_and_by_the_others(board):
    first, second = replication.papers({"toy": board})
    assert (first.paper, first.own, first.here) == (OWN, {"holds": 1}, {"fails": 1})
    assert first.stands == "reproduced near its setting, fails here (a limit found)"
    assert second.stands == "undecided here, own setting not tried"
    assert board.claims[0].notes == ("near its own setting: 1 holds",)


@pytest.mark.parametrize(
    ("own", "here", "told"),
    [
        ({}, {"fails": 1, "undecided": 3}, "fails here, own setting not tried"),
        ({"holds": 2}, {"holds": 1, "undecided": 1}, "reproduced near its setting, holds here"),
        ({"holds": 1}, {"holds": 1, "fails": 1}, "reproduced near its setting, holds and fails here (a limit found)"),
        ({"fails": 1}, {"fails": 2}, "not reproduced near its setting (ours or theirs: unknown), fails here"),
        ({"undecided": 1}, {"under-run": 2}, "undecided near its setting, under-run here"),
        ({"holds": 1}, {}, "reproduced near its setting, no claim here"),
    ],
)
def test_what_both_say_of_a_paper(own, here, told):
    assert replication.stands(own, here) == told


def test_a_claim_that_fails_without_its_own_setting_says_so(suite_of, make_claim, record):
    records = [*some(record, "gram", 20), *some(record, "average", 60)]
    claims = (make_claim("gram", "average"), make_claim("average", "gram"))
    fails, holds = build(suite_of(claims), records).claims
    assert (fails.notes, holds.notes) == (("its own setting was not tried in this suite",), ())
    [ours] = build(suite_of((make_claim("gram", "average", paper="ours"),)), records).claims
    assert (ours.answer, ours.notes) == ("fails", ())


def test_hours_are_those_at_the_papers_effort(suite_of, make_claim, record):
    records = [*some(record, "gram", 20, costs={"seconds": 60.0}), *some(record, "average", 60)]
    effort = Effort(of="share", paper=9, at_least=0.2)  # a parameter, 0.9
    board = build(suite_of((make_claim("gram", "average", effort=effort),)), records)
    assert board.claims[0].hours == pytest.approx(60 / 0.1 * 3 / 3600)
    [paper] = replication.papers({"toy": board})
    assert (paper.hours, paper.stands) == (pytest.approx(0.5), "under-run here, own setting not tried")


def test_both_tables_are_markdown_and_data(board):
    lines = list(replication.lines({"toy": board, "again": board}))
    assert lines[0].startswith("| suite ")
    assert "| `all`   |      8 |     2 |     2 |" in lines[4]
    assert "| arXiv:1910.05653 | `transport` |" in "\n".join(lines)
    data = replication.as_data({"toy": board})
    assert data["suites"][0]["answers"] == {"holds": 1, "fails": 1, "undecided": 2}
    assert data["papers"][0]["own"] == {"holds": 1}
