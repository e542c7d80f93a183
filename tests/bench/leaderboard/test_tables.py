from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from bench import registry
from bench.leaderboard import wording
from bench.leaderboard.building import build
from bench.metrics.metric import Metric
from bench.metrics.resampling import t_difference, t_score


def skewed(suite, records):
    return build(suite, records).sections[0]


def three(record, label, right, **more):
    """Seeds 0, 1, 2 with a little spread."""
    return [record(label, seed, right + seed - 1, **more) for seed in range(3)]


@pytest.fixture
def full(record):
    rows = {"average": 20, "parent-0": 55, "gram": 70, "transport": 60, "transport (acts)": 65, "ensemble": 80}
    return [r for label, right in rows.items() for r in three(record, label, right)]


def test_rows_stand_by_the_headline_and_references_have_no_rank(suite, full):
    section = skewed(suite, full)
    assert [row.label for row in section.rows] == [
        "ensemble",
        "gram",
        "transport (acts)",
        "transport",
        "parent-0",
        "average",
    ]
    assert [row.rank for row in section.rows] == [None, 1, 2, 3, None, None]
    assert [row.role for row in section.rows] == ["upper", None, None, None, "reference", "lower"]
    assert (section.summary, section.title) == ("Two networks: make one of them.", "Label skew")
    assert section.rows[1].paper == "arXiv:2212.09849"
    assert section.rows[1].summary == "Merging by Gram matrices."


def test_each_row_is_tested_against_the_one_above(suite, full):
    rows = skewed(suite, full).rows
    assert rows[0].above is None
    for above, row in pairwise(rows):
        assert row.above.other == above.label
        assert row.above.mean == pytest.approx(row.headline.mean - above.headline.mean)
        assert row.above.low <= row.above.mean <= row.above.high
        assert row.above.examples
        assert row.above.seeds == 3
    assert rows[1].above.p < 0.05  # ten more right of a hundred that are the same otherwise


def test_lower_is_better_turns_order_and_signs(suite, record):
    gaps = {"original": 0.3, "mask": 0.2, "scrub": 0.1, "laf": 0.05, "retrain": 0.02}
    records = [
        record(label, seed, scenario="class", metrics={"average_gap": gap + 0.001 * seed})
        for label, gap in gaps.items()
        for seed in range(3)
    ]
    section = build(suite, records).sections[1]
    assert [row.label for row in section.rows] == ["retrain", "laf", "scrub", "mask", "original"]
    laf = section.rows[1]
    assert (laf.rank, laf.rank_low, laf.rank_high, laf.first) == (1, 1, 1, 1.0)
    assert laf.above.mean == pytest.approx(-0.03)
    assert not laf.above.examples
    assert laf.gap_closed == pytest.approx((0.05 - 0.3) / (0.02 - 0.3))
    interval = t_score([0.05, 0.051, 0.052])
    assert (laf.headline.low, laf.headline.high) == pytest.approx((interval.low, interval.high))
    difference = t_difference([-0.05, -0.051, -0.052], [-0.02, -0.021, -0.022])
    assert laf.above.p == pytest.approx(difference.p)


def test_gap_closed_goes_by_the_kinds_direction_whatever_its_headline_is_called(suite, record, monkeypatch):
    regret = Metric("regret", "", higher_is_better=False)
    costly = replace(registry.SCENARIOS.get("forget"), headline="regret", metrics=(regret,))
    monkeypatch.setitem(registry.SCENARIOS.entries, "forget", costly)
    regrets = {"original": 0.5, "laf": 0.2, "retrain": 0.1}
    records = [record(label, 0, scenario="class", metrics={"regret": regret}) for label, regret in regrets.items()]
    laf = next(row for row in build(suite, records).sections[1].rows if row.label == "laf")
    assert laf.gap_closed == pytest.approx(0.75)


def test_gap_closed_is_taken_over_the_same_seeds(suite, record):
    records = [record("average", 0, 20), record("average", 1, 40), record("ensemble", 0, 60), record("ensemble", 1, 80)]
    records += [record("gram", 1, 60), record("gram", 2, 10)]  # seed 2 has no references
    gram = next(row for row in skewed(suite, records).rows if row.label == "gram")
    assert gram.gap_closed == pytest.approx(0.5)
    assert gram.headline.mean == pytest.approx(0.35)


def test_no_gap_where_the_references_lie_within_a_point(suite, record):
    wide = np.arange(1000)
    records = [record("average", 0, wide < 500), record("ensemble", 0, wide < 509), record("gram", 0, wide < 505)]
    assert all(row.gap_closed is None for row in skewed(suite, records).rows)
    records[1] = record("ensemble", 0, wide < 510)
    assert next(r for r in skewed(suite, records).rows if r.label == "gram").gap_closed == pytest.approx(0.5)


def test_failed_skipped_and_missing_rows_stay_with_their_reasons(suite, record):
    records = three(record, "average", 20) + three(record, "ensemble", 80)
    records += [record("gram", s, status="failed", reason="it ran away") for s in range(3)]
    records += [record("transport", s, status="skipped", reason="not to its taste") for s in range(3)]
    records += [record("transport (acts)", 0, 50), record("transport (acts)", 1, status="failed", reason="NaN")]
    section = skewed(suite, records)
    told = {row.label: (row.status, row.reasons) for row in section.rows}
    assert told["gram"] == ("failed", ("failed: it ran away (seeds 0, 1, 2)",))
    assert told["transport"] == ("skipped", ("skipped: not to its taste (seeds 0, 1, 2)",))
    assert told["transport (acts)"] == ("partial", ("failed: NaN (seed 1)",))
    assert told["parent-0"] == ("missing", ("not run",))
    assert [row.label for row in section.rows][-3:] == ["parent-0", "gram", "transport"]
    assert section.rows[-1].headline is None


@pytest.mark.parametrize(
    ("changes", "mark"),
    [
        ({"noticed": ["code"]}, wording.NOTICED["code"]),
        ({"noticed": ["larger"]}, wording.NOTICED["larger"]),
        ({"noticed": ["given"]}, wording.NOTICED["given"]),
        ({"status": "skipped", "reason": "an unlucky seed"}, wording.CHOOSY),
    ],
)
def test_a_row_of_which_something_was_noticed_at_one_seed_stays_in_the_table_without_a_rank(
    suite, record, changes, mark
):
    records = three(record, "average", 20) + three(record, "ensemble", 80) + three(record, "transport", 60)
    records += [record("gram", 0, 70), record("gram", 1, 70), record("gram", 2, 70, **changes)]
    rows = {row.label: row for row in skewed(suite, records).rows}
    assert (rows["gram"].role, rows["gram"].rank) == ("unranked", None)
    assert mark in rows["gram"].marks
    assert rows["gram"].headline is not None
    assert rows["transport"].rank == 1


def test_a_row_far_slower_than_the_others_at_one_budget_of_updates_is_not_ranked(suite, record):
    steps = replace(suite.scenarios["skewed"], settings=SimpleNamespace(steps=100))
    suite = replace(suite, scenarios=suite.scenarios | {"skewed": steps})

    def run(label, right, seconds):
        return three(record, label, right, costs={"seconds": seconds, "flops": 1.0})

    records = run("average", 20, 9.0) + run("ensemble", 80, 90.0)
    records += run("transport", 60, 1.0) + run("transport (acts)", 50, 1.2) + run("gram", 70, 3.7)
    rows = {row.label: row for row in skewed(suite, records).rows}
    assert (rows["gram"].role, rows["gram"].rank) == ("unranked", None)
    assert wording.OVERDUE in rows["gram"].marks
    assert [rows[label].rank for label in ("transport", "transport (acts)")] == [1, 2]


def test_a_row_whose_records_are_stale_says_so(suite, record):
    records = [*three(record, "average", 20), *three(record, "gram", 50, params={"share": 0.1})]
    gram = next(row for row in skewed(suite, records).rows if row.label == "gram")
    assert gram.status == "missing"
    assert "run the suite again" in gram.reasons[0]


def test_a_row_without_the_headline_counts_as_failed(suite, record):
    gram = next(r for r in skewed(suite, [record("gram", 0, metrics={"nll": 1.0})]).rows if r.label == "gram")
    assert (gram.status, gram.reasons) == ("failed", ("failed: it has no accuracy (seed 0)",))


def test_rows_without_a_seed_of_the_common_look_are_not_ranked_and_named(suite, full):
    full = [r for r in full if (r.label, r.seed) != ("transport", 2)]
    section = skewed(suite, full)
    transport = next(row for row in section.rows if row.label == "transport")
    assert (transport.rank, transport.rank_low, transport.first) == (None, None, None)
    assert section.notes == ("Not ranked, because some of the seeds 0, 1, 2 are missing: transport",)
    gram = next(row for row in section.rows if row.label == "gram")
    assert gram.rank_low == 1
    assert gram.rank_high <= 2


def test_ranks_stand_on_the_last_look_that_rows_have_in_common(suite, full, record):
    more = [record("gram", seed, right) for seed, right in ((3, 20), (4, 20), (5, 20))]
    section = skewed(suite, [*full, *more])
    rows = {row.label: row for row in section.rows}
    assert section.ranked_on == (0, 1, 2)
    assert [row.rank for row in section.rows] == [None, 1, 2, 3, None, None]
    assert (rows["gram"].rank, rows["gram"].seeds) == (1, (0, 1, 2, 3, 4, 5))
    assert rows["gram"].headline.mean == pytest.approx(0.45)  # of all its seeds, and so below transport's
    assert rows["transport (acts)"].above.mean == pytest.approx(-0.05)
    [note] = section.notes
    assert note.startswith("Ranks use seeds 0, 1, 2, which all ranked rows have")
    six = [record(row.label, seed, 50) for row in section.rows for seed in (3, 4, 5) if row.label != "gram"]
    assert skewed(suite, [*full, *more, *six]).ranked_on == (0, 1, 2, 3, 4, 5)


def test_before_the_first_look_rows_are_ranked_on_the_seeds_that_most_have(suite, record):
    records = [record(label, seed, 50) for label in ("gram", "transport") for seed in (0, 1)]
    section = skewed(suite, [*records, record("transport (acts)", 0, 60)])
    assert section.ranked_on == (0, 1)
    assert {row.label: row.rank for row in section.rows if row.headline} == {
        "gram": 1,
        "transport": 2,
        "transport (acts)": None,
    }


def test_seeds_below_the_lower_reference_are_told(suite, full, record):
    low = [r for r in full if r.label != "gram"] + [record("gram", s, right) for s, right in enumerate((70, 5, 70))]
    gram = next(row for row in skewed(suite, low).rows if row.label == "gram")
    assert gram.marks == ("below the lower reference at 1 of 3 seeds",)


def test_one_seed_without_examples_has_no_interval_and_with_examples_one_over_examples(suite, record):
    one = skewed(suite, [record("gram", 0, metrics={"accuracy": 0.5}), record("average", 0, metrics={"accuracy": 0.4})])
    assert (one.rows[0].headline.low, one.rows[1].above.p, one.rows[1].above.low) == (None, None, None)
    many = skewed(suite, [record("gram", 0, 50), record("average", 0, 40)])
    assert many.rows[0].headline.low == pytest.approx(0.4, abs=0.01)
    assert many.rows[1].above.high < 0


def test_correctness_that_does_not_belong_to_the_metric_is_not_used(suite, record):
    # Kept answers say 50 of 100, the metric says otherwise: an interval over seeds then, around the metric.
    records = [record("gram", seed, 50, metrics={"accuracy": 0.9 + 0.01 * seed}) for seed in range(3)]
    gram = skewed(suite, records).rows[0]
    assert gram.headline.mean == pytest.approx(0.91)
    assert gram.headline.high == pytest.approx(t_score([0.90, 0.91, 0.92]).high)


def test_test_sets_of_different_length_fall_back_to_seeds(suite, record):
    records = [record("gram", seed, np.arange(100 + seed) < 50) for seed in range(3)]
    accuracies = [50 / (100 + seed) for seed in range(3)]
    assert skewed(suite, records).rows[0].headline.low == pytest.approx(t_score(accuracies).low)


def test_costs_are_means_of_the_seeds_that_count(suite, record):
    records = [record("gram", 0, 50), record("gram", 1, 50)]
    records.append(record("gram", 2, status="failed", reason="x", costs={"seconds": 99.0}))
    costs = skewed(suite, records).rows[0].costs
    assert (costs.seconds, costs.peak_memory_mb, costs.gflops, costs.samples) == (1.5, 10.0, 2.0, 100.0)
    assert costs.samples_of == {"parents[0]": 100.0}


def test_memory_that_some_seed_did_not_show_is_left_out(suite, record):
    records = [record("gram", seed, 50, costs={"peak_memory_mb": mb}) for seed, mb in enumerate((80.0, 0.0, 82.0))]
    assert skewed(suite, records).rows[0].costs.peak_memory_mb is None
    assert skewed(suite, records[::2]).rows[0].costs.peak_memory_mb == 81.0


def test_a_suite_that_was_never_run_has_a_board(suite):
    board = build(suite, [])
    assert [row.status for row in board.sections[0].rows] == ["missing"] * 6
    assert (board.records, [(use.used, use.stand_in_for) for use in board.data]) == (0, [({}, None)])


def test_there_is_no_gap_where_the_upper_reference_is_the_worse(suite, record):
    records = [record("average", 0, 60), record("ensemble", 0, 40), record("gram", 0, 50)]
    assert all(row.gap_closed is None for row in skewed(suite, records).rows)


def test_a_row_whose_method_is_a_reference_is_not_ranked(suite, record, monkeypatch):
    from dataclasses import replace

    from bench.registry import METHODS

    monkeypatch.setitem(METHODS.entries, "gram", replace(METHODS.entries["gram"], family="reference"))
    records = [record("average", 0, 40), record("ensemble", 0, 60), record("gram", 0, 50)]
    gram = next(row for row in skewed(suite, records).rows if row.label == "gram")
    assert (gram.role, gram.rank) == ("reference", None)


def test_a_control_is_marked_and_not_ranked(suite, full):
    def marked(scenario):
        return replace(scenario, rows=tuple(replace(r, control=r.label == "gram") for r in scenario.rows))

    scenarios = suite.scenarios | {"skewed": marked(suite.scenarios["skewed"])}
    rows = {row.label: row for row in skewed(replace(suite, scenarios=scenarios), full).rows}
    assert (rows["gram"].role, rows["gram"].rank) == ("control", None)
    assert (rows["transport (acts)"].rank, rows["transport"].rank) == (1, 2)
