from dataclasses import replace

import numpy as np
import pytest

from bench.leaderboard import questions
from bench.leaderboard.building import build
from bench.schema.tables import Effort, Requirement


@pytest.fixture
def judge(make_claim, suite_of):
    """`judge(records, better, worse, ...)` -> the verdict on one claim."""

    def call(records, better, worse, **more):
        return build(suite_of((make_claim(better, worse, **more),)), records).claims[0]

    return call


def some(record, label, right, seeds=3, **more):
    """Seeds 0, 1, 2 and so on with a little spread."""
    return [record(label, seed, right + seed % 3 - 1, **more) for seed in range(seeds)]


def test_holds_fails_and_stays_undecided(judge, record):
    records = [*some(record, "gram", 90), *some(record, "average", 50), *some(record, "transport", 91)]
    holds = judge(records, "gram", "average")
    assert (holds.answer, holds.reason, holds.metric) == ("holds", "", "accuracy")
    assert holds.difference.mean == pytest.approx(0.4)
    assert holds.difference.low > 0
    assert (holds.seeds, holds.level) == (3, 0.0079)
    assert holds.p < 0.0079
    assert judge(records, "average", "gram").answer == "fails"
    rng = np.random.default_rng(0)
    noisy = [record("transport", s, rng.random(100) < 0.7) for s in range(3)] + some(record, "gram", 70)
    assert judge(noisy, "transport", "gram").answer == "undecided"


def test_the_margin_moves_what_is_needed_and_p_is_that_of_the_margin(judge, record):
    records = [*some(record, "gram", 90), *some(record, "average", 50)]
    assert judge(records, "gram", "average", margin=0.05).answer == "holds"
    assert judge(records, "gram", "average", margin=0.9).answer == "fails"
    assert judge(records, "gram", "average", margin=0.4).p == pytest.approx(1.0)


def test_a_claim_is_judged_at_its_last_complete_look_on_the_first_seeds(judge, record):
    first = [*some(record, "gram", 90, 5), *some(record, "average", 50, 5)]
    at_three = judge(first, "gram", "average")
    assert at_three.seeds == 3
    fewer = judge([r for r in first if r.seed < 3], "gram", "average")
    assert (at_three.difference, at_three.p) == (fewer.difference, fewer.p)
    six = judge([*first, record("gram", 5, 92), record("average", 5, 50)], "gram", "average")
    assert (six.seeds, six.level) == (6, 0.0159)
    assert six.difference.mean == pytest.approx(0.4 + 0.02 / 6)  # of all six


def test_seeds_are_taken_in_the_order_of_the_suite(judge, record):
    seeds = (0, 1, 2, 7, 8, 9)
    records = [record(label, s, right + s % 3) for label, right in (("gram", 90), ("average", 50)) for s in seeds]
    verdict = judge(records, "gram", "average")
    assert verdict.seeds == 3  # 3, 4 and 5 come before 7


def test_before_the_first_look_nothing_is_answered_and_what_is_missing_is_said(judge, record):
    verdict = judge([record("gram", 0, 90), record("average", 0, 10)], "gram", "average")
    assert (verdict.answer, verdict.seeds, verdict.difference, verdict.p) == ("undecided", 0, None, None)
    assert verdict.reason == "no look is complete: the first is at 3 seeds"
    assert verdict.notes == ("without a result: seeds 1, 2",)


def test_a_failed_seed_keeps_its_look_incomplete_and_is_named(judge, record):
    gram = [r for r in some(record, "gram", 90, 8) if r.seed != 4]
    gram.append(record("gram", 4, status="failed", reason="it ran away"))
    verdict = judge([*gram, *some(record, "average", 50, 8)], "gram", "average")
    assert (verdict.answer, verdict.seeds) == ("holds", 3)
    assert verdict.notes == ("gram has no result at seed 4 (failed: it ran away)",)


def test_seeds_on_one_set_of_standard_models_count_once(judge, record):
    def on(weights):
        return [
            record(label, seed, right + seed, weights={"parent": sha})
            for label, right in (("gram", 80), ("average", 50))
            for seed, sha in enumerate(weights)
        ]

    assert judge(on(["a", "b", "c"]), "gram", "average").seeds == 3
    twice = judge(on(["a", "b", "a"]), "gram", "average")
    assert (twice.answer, twice.seeds) == ("undecided", 0)
    assert "seed 2 on the standard models of an earlier seed, and so no seed more" in twice.notes
    assert judge(on(["a", "b", "a", "c"]), "gram", "average").seeds == 3


def test_identical_rows_settle_nothing(judge, record):
    same = judge([*some(record, "gram", 70), *some(record, "average", 70)], "gram", "average", margin=-0.02)
    assert (same.answer, same.reason, same.seeds) == ("undecided", "the two rows are identical", 3)
    assert (same.difference.mean, same.difference.low, same.p) == (0, None, None)


def test_lower_is_better_is_known_of_headlines_and_of_other_metrics(judge, record):
    gaps = {"laf": 0.05, "scrub": 0.15}
    records = [
        record(
            label,
            seed,
            scenario="class",
            metrics={"average_gap": gap + 0.001 * seed, "nll": (5 + 0.01 * seed) * gap},
        )
        for label, gap in gaps.items()
        for seed in (0, 1, 2)
    ]
    records[0] = record("laf", 0, scenario="class", metrics={"average_gap": 0.051, "nll": 0.25})
    verdict = judge(records, "laf", "scrub", scenario="class")
    assert (verdict.answer, verdict.metric) == ("holds", "average_gap")
    assert verdict.difference.mean == pytest.approx(0.1, abs=0.001)
    assert judge(records, "laf", "scrub", scenario="class", metric="nll").answer == "holds"
    assert judge(records, "scrub", "laf", scenario="class", metric="nll").answer == "fails"


@pytest.mark.parametrize(("times", "answer"), [(1.0, "holds"), (0.5, "holds"), (0.2, "fails")])
def test_a_claim_may_ask_for_a_fraction(judge, record, times, answer):
    records = [
        record(label, seed, metrics={"accuracy": 0.5, "attack_success": value + 0.001 * seed * value})
        for label, value in (("gram", 0.3), ("average", 0.8))
        for seed in range(3)
    ]
    verdict = judge(records, "gram", "average", metric="attack_success", times=times)
    assert (verdict.answer, verdict.times) == (answer, times)
    assert verdict.difference.mean == pytest.approx((times * 0.8 - 0.3) * 1.001)


def test_a_claim_may_be_about_seconds(judge, record):
    records = [
        record(
            label,
            seed,
            metrics={"accuracy": 0.5},
            costs={"synthesis_seconds": value + 0.01 * seed, "images_kept": made},
        )
        for label, value, made in (("gram", 8.0, 400), ("average", 40.0, 100))
        for seed in range(3)
    ]
    asked = {"metric": "synthesis_seconds_per_image", "times": 0.1}
    assert judge(records, "gram", "average", **asked).answer == "holds"
    assert judge(records, "average", "gram", **asked).answer == "fails"
    none = judge(records, "gram", "average", metric="seconds")
    assert "gram has no result at seeds 0, 1, 2 (it has no seconds)" in none.notes


@pytest.mark.parametrize("metric", ["worst_drop", "trace_std", "attack_success"])
def test_the_less_a_student_falls_wavers_or_obeys_the_better(judge, record, metric):
    records = [
        record(label, seed, metrics={"accuracy": 0.5, metric: value + 0.001 * seed * value})
        for label, value in {"gram": 0.05, "average": 0.15}.items()
        for seed in range(3)
    ]
    verdict = judge(records, "gram", "average", metric=metric, margin=0.05)
    assert (verdict.answer, verdict.metric) == ("holds", metric)
    assert verdict.difference.mean == pytest.approx(0.1001)
    assert judge(records, "average", "gram", metric=metric).answer == "fails"


def test_what_is_missing_is_said(judge, record):
    gram = some(record, "gram", 70)
    assert judge(gram, "gram", "average").notes == ("average: not run",)
    failed = [record("average", s, status="failed", reason="it ran away") for s in range(3)]
    assert judge([*gram, *failed], "gram", "average").notes == (
        "average has no result at seeds 0, 1, 2 (failed: it ran away)",
    )
    stale = some(record, "average", 50, params={"old": True})
    assert judge([*gram, *stale], "gram", "average").notes[0].startswith("average: not run with the present settings")
    both = [*gram, *some(record, "average", 50)]
    wanting = judge(both, "gram", "average", metric="nll")
    assert (wanting.answer, wanting.difference) == ("undecided", None)


def test_a_row_that_collapses_at_some_seeds_is_told(judge, record):
    records = [*some(record, "average", 50), *some(record, "transport", 40)]
    records += [record("gram", seed, right) for seed, right in enumerate((90, 92, 10))]
    verdict = judge(records, "gram", "transport")
    assert verdict.notes == ("gram is below its lower reference at 1 of 3 seeds",)


def test_q_values_are_those_of_the_suites_judged_claims(make_claim, suite_of, record):
    rows = {"gram": 90, "average": 50, "transport": 52, "transport (acts)": 51}
    records = [r for label, right in rows.items() for r in some(record, label, right)]
    records += [record("transport", 0, 90), record("transport", 1, 20)]
    claims = [make_claim("gram", "average"), make_claim("transport", "average"), make_claim("gram", "ensemble")]
    first, second, third = build(suite_of(tuple(claims)), records).claims
    assert 0 < first.p < first.q < second.q
    assert second.q == pytest.approx(max(first.q, second.q))
    assert (third.p, third.q) == (None, None)


def test_what_is_required_and_not_there_makes_a_claim_untestable(judge, record):
    records = [
        record(label, seed, right, metrics={"worst_drop": drop + 0.001 * seed})
        for label, right, drop in (("gram", 90, 0.02), ("average", 50, 0.2))
        for seed in range(3)
    ]

    def found(row, least):
        return judge(records, "gram", "average", requires=Requirement(row=row, metric="worst_drop", at_least=least))

    assert found("average", 0.1).answer == "holds"
    none = found("gram", 0.05)
    assert none.answer == "not testable here"
    assert "of gram is to be at least 0.05, and is 0.021 (" in none.reason
    assert found("gram", 0.021).answer == "undecided"
    assert "what it requires is open" in found("gram", 0.021).reason


def near(record):
    """Two rows that differ at one example in a thousand."""
    wide = np.arange(1000)
    return [record(label, s, wide < 800 + s + (label == "gram")) for label in ("gram", "average") for s in range(3)]


def test_rows_are_equal_within_what_the_claim_declares(judge, record, make_claim, suite_of):
    found = judge(near(record), "gram", "average", equal_within=0.02, margin=0.02)
    assert (found.answer, found.equal_within) == ("fails", 0.02)
    found = judge(near(record), "gram", "average", equal_within=0.02)
    assert (found.answer, found.notes) == ("equal", ())
    assert judge(near(record), "gram", "average").answer == "undecided"
    chosen_later = replace(suite_of((make_claim("gram", "average"),)), equal_within_post_hoc=0.02)
    [verdict] = build(chosen_later, near(record)).claims
    assert verdict.answer == "equal"
    assert verdict.notes == ("differences within 2.0 % are equal; this was chosen after results had been seen",)


def test_a_claim_that_would_fail_with_little_effort_is_under_run(judge, record):
    records = [*some(record, "gram", 20, costs={"images_kept": 400}), *some(record, "average", 60)]

    def answer(**effort):
        verdict = judge(records, "gram", "average", effort=Effort(**effort))
        return verdict.answer, verdict.reason

    assert answer(of="images_kept", paper=1000, at_least=0.1) == ("fails", "")
    assert answer(of="images_kept", paper=10000, at_least=0.1) == (
        "under-run",
        "gram had 4 % of its paper's effort, and below 10 % nothing fails",
    )
    assert answer(of="share", paper=9, at_least=0.2)[0] == "under-run"  # a parameter, 0.9
    assert answer(of="steps", paper=1000, at_least=0.2)[0] == "fails"  # no parameter of the row: nothing is known


def test_a_setting_of_the_board_is_an_effort_even_where_a_parameter_has_its_name(make_claim, record):
    found = record("gram", 0, 20, params={"steps": 10})
    found = found.model_copy(update={"asked": found.asked | {"settings": {"steps": 600}}})

    def share(of):
        claim = make_claim("gram", "average", effort=Effort(of=of, paper=80000, at_least=0.1))
        return questions.effort(claim, {0: found}, {}, [0]).share

    assert share("board.steps") == 600 / 80000
    assert share("steps") == 10 / 80000
