import numpy as np
import pytest

from bench.leaderboard.building import build


@pytest.fixture
def judge(make_claim, suite_of):
    """`judge(records, better, worse, ...)` -> the verdict on one claim."""

    def call(records, better, worse, **more):
        return build(suite_of((make_claim(better, worse, **more),)), records).claims[0]

    return call


def three(record, label, right, **more):
    return [record(label, seed, right + seed - 1, **more) for seed in range(3)]


def test_holds_fails_and_stays_undecided(judge, record):
    records = [*three(record, "gram", 70), *three(record, "average", 50), *three(record, "transport", 71)]
    holds = judge(records, "gram", "average")
    assert (holds.answer, holds.reason, holds.metric) == ("holds", "", "accuracy")
    assert holds.difference.mean == pytest.approx(0.2)
    assert holds.difference.low > 0
    assert holds.difference.seeds == 3
    assert judge(records, "average", "gram").answer == "fails"
    rng = np.random.default_rng(0)
    noisy = [record("transport", s, rng.random(100) < 0.7) for s in range(3)] + three(record, "gram", 70)
    assert judge(noisy, "transport", "gram").answer == "undecided"


def test_the_margin_moves_what_is_needed(judge, record):
    records = [*three(record, "gram", 70), *three(record, "average", 50)]
    assert judge(records, "gram", "average", margin=0.05).answer == "holds"
    assert judge(records, "gram", "average", margin=0.5).answer == "fails"
    equal = [*three(record, "gram", 70), *three(record, "average", 70)]
    assert judge(equal, "gram", "average").answer == "undecided"
    assert judge(equal, "gram", "average", margin=-0.02).answer == "holds"


def test_lower_is_better_is_known_of_headlines_and_of_other_metrics(judge, record):
    gaps = {"laf": 0.05, "scrub": 0.15}
    records = [
        record(label, seed, scenario="class", metrics={"average_gap": gap + 0.001 * seed, "nll": 5 * gap + 0.01 * seed})
        for label, gap in gaps.items()
        for seed in range(3)
    ]
    verdict = judge(records, "laf", "scrub", scenario="class")
    assert (verdict.answer, verdict.metric) == ("holds", "average_gap")
    assert verdict.difference.mean == pytest.approx(0.1)
    assert judge(records, "laf", "scrub", scenario="class", metric="nll").answer == "holds"
    assert judge(records, "scrub", "laf", scenario="class", metric="nll").answer == "fails"


@pytest.mark.parametrize(("times", "answer"), [(1.0, "holds"), (0.5, "holds"), (0.2, "fails")])
def test_a_claim_may_ask_for_a_fraction(judge, record, times, answer):
    records = [
        record(label, seed, metrics={"accuracy": 0.5, "attack_success": value + 0.001 * seed})
        for label, value in (("gram", 0.3), ("average", 0.8))
        for seed in range(3)
    ]
    verdict = judge(records, "gram", "average", metric="attack_success", times=times)
    assert (verdict.answer, verdict.times) == (answer, times)
    assert verdict.difference.mean == pytest.approx(times * 0.801 - 0.301)


def test_a_claim_may_be_about_seconds(judge, record):
    records = [
        record(label, seed, metrics={"accuracy": 0.5}, costs={"synthesis_seconds": value + 0.01 * seed})
        for label, value in (("gram", 3.0), ("average", 40.0))
        for seed in range(3)
    ]
    asked = {"metric": "synthesis_seconds", "times": 0.1}
    assert judge(records, "gram", "average", **asked).answer == "holds"
    assert judge(records, "average", "gram", **asked).answer == "fails"
    assert "no metric 'seconds'" in judge(records, "gram", "average", metric="seconds").reason


@pytest.mark.parametrize("metric", ["worst_drop", "trace_std", "attack_success"])
def test_the_less_a_student_falls_wavers_or_obeys_the_better(judge, record, metric):
    records = [
        record(label, seed, metrics={"accuracy": 0.5, metric: value + 0.001 * seed})
        for label, value in {"gram": 0.05, "average": 0.15}.items()
        for seed in range(3)
    ]
    verdict = judge(records, "gram", "average", metric=metric, margin=0.05)
    assert (verdict.answer, verdict.metric) == ("holds", metric)
    assert verdict.difference.mean == pytest.approx(0.1)
    assert judge(records, "average", "gram", metric=metric).answer == "fails"


def test_one_seed_decides_nothing(judge, record):
    verdict = judge([record("gram", 0, 90), record("average", 0, 10)], "gram", "average")
    assert verdict.answer == "undecided"
    assert verdict.reason == "one seed: nothing is known of the spread over seeds"
    assert verdict.difference.low > 0.5  # over the test examples


def test_what_is_missing_is_said(judge, record):
    gram = three(record, "gram", 70)
    assert judge(gram, "gram", "average").reason == "average: not run"
    failed = [record("average", s, status="failed", reason="it ran away") for s in range(3)]
    assert judge([*gram, *failed], "gram", "average").reason == "average: failed: it ran away"
    stale = three(record, "average", 50, params={"old": True})
    assert (
        judge([*gram, *stale], "gram", "average").reason
        == "average: its records are of other settings than the suite asks for now"
    )
    other = [record("average", seed, 50) for seed in (7, 8, 9)]
    assert judge([*gram, *other], "gram", "average").reason == "gram and average have no seed in common"
    both = [*gram, *three(record, "average", 50)]
    wanting = judge(both, "gram", "average", metric="nll")
    assert (wanting.answer, wanting.difference) == ("missing", None)
    assert wanting.reason == "gram has no metric 'nll'; it has accuracy"


def test_seeds_that_only_one_row_has_are_left_out(judge, record):
    records = [*three(record, "gram", 70), *three(record, "average", 50), record("gram", 9, 0)]
    verdict = judge(records, "gram", "average")
    assert verdict.difference.seeds == 3
    assert verdict.difference.mean == pytest.approx(0.2)
