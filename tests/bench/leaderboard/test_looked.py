"""What was answered before stays, in the file and on the board."""

from dataclasses import replace

import pytest

from bench.errors import BenchError
from bench.leaderboard import build, looked, write
from bench.schema.tables import Requirement
from bench.verdicts import history


def some(record, label, right, seeds=3, **more):
    return [record(label, seed, right + seed % 3 - 1, **more) for seed in range(seeds)]


@pytest.fixture
def looks(tmp_path):
    """`looks(suite, records)` builds the board and writes its looks down."""
    results = tmp_path / "cpu.jsonl"

    def call(suite, records, commit="abc"):
        board = build(suite, records, past=history.read(looked.path_of(results)))
        return board, looked.write_down(board.looked, results, commit, "2025-12-01T00:00:00+00:00")

    return call


@pytest.fixture
def records(record):
    return [*some(record, "gram", 90), *some(record, "average", 50)]


def test_a_look_is_written_down_once(looks, suite_of, make_claim, records, record, tmp_path):
    suite = suite_of((make_claim("gram", "average"), make_claim("gram", "ensemble")))
    board, new = looks(suite, records)
    assert [(e.claim, e.n, e.answer, e.commit) for e in new] == [("gram-average", 3, "holds", "abc")]
    assert (new[0].settings["looks"], new[0].settings["better.share"]) == ([3, 6, 12], 0.9)
    again, none = looks(suite, records, commit="def")
    assert (none, again) == ([], board)
    six = [*some(record, "gram", 90, 6), *some(record, "average", 50, 6)]
    later, new = looks(suite, six)
    assert [e.n for e in new] == [6]
    [before] = later.claims[0].earlier
    assert (before.answer, before.seeds, before.why) == ("holds", 3, "looked at again with 6 seeds")
    assert looks(suite, six)[0] == later  # the board is the same before its looks are written down and after


def test_a_changed_margin_leaves_the_old_verdict_on_the_page(looks, suite_of, make_claim, records, tmp_path):
    looks(suite_of((make_claim("gram", "average"),)), records)
    board, _ = looks(suite_of((make_claim("gram", "average", margin=0.9),)), records, commit="def")
    [verdict] = board.claims
    assert (verdict.answer, verdict.earlier[0].answer, verdict.earlier[0].why) == (
        "fails",
        "holds",
        "margin: 0.0 -> 0.9",
    )
    markdown, _, page, *_ = (path.read_text(encoding="utf-8") for path in write(board, tmp_path / "board"))
    assert "`gram-average`: holds at 3 seeds, accuracy, % +40.0" in markdown
    assert f"; margin: 0.0 -&gt; 0.9 (settings {verdict.earlier[0].hash}, commit abc, 2025-12-01)" in page


def test_terms_that_were_declared_after_results_had_been_seen_are_told(looks, suite_of, make_claim, records):
    looks(suite_of((make_claim("gram", "average"),)), records)
    least = Requirement(row="average", at_least=0.99)
    asks = {"requires": least, "margin": 0.1}
    board, _ = looks(suite_of((make_claim("gram", "average", **asks), make_claim("average", "gram"))), records)
    first, second = board.claims
    assert first.answer == "not testable here"
    assert first.notes == ("declared after results had been seen: its margin, what it requires",)
    assert first.earlier[0].why == f"margin: 0.0 -> 0.1; requires: None -> {least.model_dump()}"
    assert second.notes == ("its own setting was not tried in this suite",)
    later, _ = looks(suite_of((make_claim("average", "gram", margin=-0.1), make_claim("gram", "average"))), records)
    assert [v.notes for v in later.claims] == [
        ("its own setting was not tried in this suite", "declared after results had been seen: its margin"),
        ("declared after results had been seen: its margin, what it requires",),
    ]


def test_other_parameters_of_a_row_are_other_settings(looks, suite_of, make_claim, record, records):
    suite = suite_of((make_claim("gram", "average"),))
    looks(suite, records)
    rows = tuple(replace(r, params={"share": 0.5}) if r.label == "gram" else r for r in suite.scenarios["skewed"].rows)
    other = replace(suite, scenarios=suite.scenarios | {"skewed": replace(suite.scenarios["skewed"], rows=rows)})
    changed = [*some(record, "gram", 90, params={"share": 0.5}), *some(record, "average", 50)]
    [verdict] = looks(other, changed)[0].claims
    assert verdict.earlier[0].why == "better.share: 0.9 -> 0.5"


def test_claims_that_are_made_no_more_are_told(looks, suite_of, make_claim, records, tmp_path):
    looks(suite_of((make_claim("gram", "average"),)), records)
    board, _ = looks(suite_of((make_claim("average", "gram"),)), records)
    assert [(e.why, e.answer) for e in board.dropped] == [("gram-average", "holds")]
    assert "dropped: holds at 3 seeds" in write(board, tmp_path / "board")[0].read_text(encoding="utf-8")


def test_a_look_that_is_declared_after_the_first_is_marked_and_none_may_be_left_out(
    looks, suite_of, make_claim, records, record
):
    suite = suite_of((make_claim("gram", "average"),))
    looks(suite, records)
    longer, _ = looks(replace(suite, looks=(3, 6, 12, 24)), records)
    assert [(look.n, look.level, look.added) for look in longer.schedule.looks] == [
        (3, 0.0079, False),
        (6, 0.0159, False),
        (12, 0.0318, False),
        (24, 0.0306, True),
    ]
    rows = {"gram": 90, "average": 50}
    [verdict] = looks(
        replace(suite, looks=(3, 6, 12, 24)),
        [r for label, right in rows.items() for r in some(record, label, right, 24)],
    )[0].claims
    assert (verdict.seeds, verdict.notes) == (24, ("the look at 24 seeds was added after the first look",))


def test_a_look_that_was_declared_stays(looks, suite_of, make_claim, records):
    suite = replace(suite_of((make_claim("gram", "average"),)), looks=(3, 6, 12, 24))
    looks(suite, records)
    with pytest.raises(BenchError, match=r"looks = \[3, 6, 12\] leaves out 24, .*; say looks = \[3, 6, 12, 24\]"):
        looks(replace(suite, looks=(3, 6, 12)), records)


def test_a_claim_that_has_no_look_any_more_shows_its_last_answer(looks, suite_of, make_claim, records):
    suite = suite_of((make_claim("gram", "average"),))
    looks(suite, records)
    [verdict] = looks(suite, [r for r in records if r.seed != 1])[0].claims
    assert (verdict.answer, verdict.seeds) == ("undecided", 0)
    assert [(e.answer, e.why) for e in verdict.earlier] == [("holds", "no look is complete any more")]


def test_a_verdict_of_an_earlier_rule_is_told_as_such(looks, suite_of, make_claim, records, tmp_path):
    path = looked.path_of(tmp_path / "cpu.jsonl")
    old = {"rule": "a plain 95 % interval", "scenario": "skewed", "metric": "accuracy", "margin": 0.0}
    first = history.Entry("gram-average", 3, 0.05, "fails", "", -0.1, -0.2, -0.01, 0.04, old, "old", "2025-11-01")
    history.add(path, [first])
    [verdict] = looks(suite_of((make_claim("gram", "average"),)), records)[0].claims
    assert [(e.answer, e.why) for e in verdict.earlier] == [("fails", "judged by another rule: a plain 95 % interval")]
