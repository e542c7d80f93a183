"""Boards of two environments: each row is held against those that were computed where it was."""

from dataclasses import replace
from types import SimpleNamespace

from bench.environment import PINNED
from bench.leaderboard import build
from bench.leaderboard.pairing import OTHER_ENVIRONMENT, OTHER_PROCESSOR

NATIVE = "x86_64-native-avx512f"


def rows(board):
    return {row.label: row for row in board.sections[0].rows}


def test_seeds_of_two_environments_are_paired_each_within_its_own(suite, record):
    where = {0: PINNED, 1: PINNED, 2: NATIVE, 3: NATIVE}
    records = [
        record(label, seed, right + seed, environment=environment)
        for label, right in (("gram", 70), ("transport", 60), ("average", 40))
        for seed, environment in where.items()
    ]
    board = build(suite, records)
    found = rows(board)
    assert board.provenance.environments == (PINNED, NATIVE)[::-1] if PINNED > NATIVE else (PINNED, NATIVE)
    assert found["transport"].above.seeds == 3  # those of the look
    assert found["transport"].seeds == (0, 1, 2, 3)
    assert found["gram"].marks == found["transport"].marks == ()
    assert (found["gram"].rank_low, found["gram"].rank_high) == (1, 1)


def test_a_row_from_elsewhere_is_marked_named_and_not_paired(suite, record, make_claim):
    records = [record(label, seed, 50) for label in ("average", "ensemble", "transport") for seed in (0, 1)]
    records += [record("gram", seed, 60, environment=NATIVE) for seed in (0, 1)]
    board = build(suite, records)
    found = rows(board)
    assert found["gram"].marks == (OTHER_ENVIRONMENT,)
    assert found["gram"].gap_closed is None
    assert found["transport"].marks == ()
    assert found["gram"].rank_low is None


def test_a_claim_across_environments_says_why_it_has_no_verdict(suite_of, record, make_claim):
    records = [record("gram", seed, 60, environment=NATIVE) for seed in (0, 1)]
    records += [record("average", seed, 40) for seed in (0, 1)]
    [verdict] = build(suite_of((make_claim("gram", "average"),)), records).claims
    assert verdict.answer == "undecided"
    assert verdict.notes == (f"gram and average are not paired on seeds 0, 1 ({NATIVE} and {PINNED})",)


def test_rows_on_two_sets_of_weights_are_not_paired(suite_of, record, make_claim):
    records = [record("gram", seed, 60 + seed, weights={"parent": f"a{seed}"}) for seed in (0, 1, 2)]
    records += [
        record("average", seed, 40, weights={"parent": f"{'b' if seed == 2 else 'a'}{seed}"}) for seed in range(3)
    ]
    [verdict] = build(suite_of((make_claim("gram", "average"),)), records).claims
    assert (verdict.answer, verdict.seeds) == ("undecided", 0)
    assert verdict.notes == ("gram and average are not paired on seed 2 (other weights of parent)",)


EPYC, XEON = "AMD EPYC, family 26 model 2 stepping 1", "Intel Xeon, family 6 model 143 stepping 8"


def timed(suite):
    board = replace(suite.scenarios["skewed"], settings=SimpleNamespace(seconds=12.0))
    return replace(suite, scenarios=suite.scenarios | {"skewed": board})


def test_a_board_of_seconds_ranks_no_row_of_another_processor(suite, record, make_claim):
    def on(model, label, right):
        machine = {"machine": f"Linux x86_64, 2 x {model}, avx512f"}
        return [record(label, seed, right + seed, provenance=machine, seconds=12.0) for seed in range(3)]

    rows_of = (("average", EPYC, 40), ("ensemble", EPYC, 90), ("transport", EPYC, 60), ("gram", XEON, 70))
    records = [r for label, model, right in rows_of for r in on(model, label, right)]
    board = build(replace(timed(suite), claims=(make_claim("gram", "transport"),)), records)
    found = rows(board)
    assert (found["gram"].role, found["gram"].marks, found["gram"].rank) == ("unranked", (OTHER_PROCESSOR,), None)
    assert found["gram"].gap_closed is None
    assert (found["transport"].role, found["transport"].marks, found["transport"].rank) == (None, (), 1)
    [verdict] = board.claims
    assert (verdict.answer, verdict.seeds) == ("undecided", 0)
    assert verdict.notes == (f"gram and transport are not paired on seeds 0, 1, 2 (seconds of {EPYC} and of {XEON})",)


def test_a_claim_about_seconds_is_not_judged_across_processors(suite_of, record, make_claim):
    def on(model, label, seconds):
        machine = {"machine": f"Linux x86_64, 2 x {model}, avx512f"}
        return [record(label, s, 50, provenance=machine, costs={"seconds": seconds * (1 + 0.01 * s)}) for s in range(3)]

    claim = make_claim("gram", "average", metric="seconds")
    [here] = build(suite_of((claim,)), [*on(EPYC, "gram", 5), *on(EPYC, "average", 500)]).claims
    [mixed] = build(suite_of((claim,)), [*on(EPYC, "gram", 5), *on(XEON, "average", 500)]).claims
    assert (here.answer, mixed.answer, mixed.seeds) == ("holds", "undecided", 0)
