"""Boards of two environments: each row is held against those that were computed where it was."""

from bench.environment import PINNED
from bench.leaderboard import build
from bench.leaderboard.pairing import OTHER_ENVIRONMENT

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
