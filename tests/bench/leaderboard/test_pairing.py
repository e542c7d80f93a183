"""Which two records are a pair."""

import pytest

from bench.environment import PINNED
from bench.leaderboard.pairing import differ, main_environment, told, unpaired

NATIVE = "x86_64-native-avx512f"


def test_records_of_one_environment_and_machine_are_a_pair(record):
    one, other = record("gram", 0, 50), record("average", 0, 60)
    assert differ(one, other) is None
    assert unpaired({0: one}, {0: other}) == {}


def test_records_of_two_environments_are_no_pair(record):
    one, other = record("gram", 0, 50), record("average", 0, 60, environment=NATIVE)
    assert differ(one, other) == f"{PINNED} and {NATIVE}"


@pytest.mark.parametrize(
    ("here", "there", "pair"), [("c1", "c1", True), ("c1", "c2", False), ("c1", None, True), (None, None, True)]
)
def test_records_whose_machines_differ_in_the_last_digit_are_no_pair(record, here, there, pair):
    one, other = (
        record(name, 0, 50, provenance={"canary": canary}) for name, canary in (("gram", here), ("mask", there))
    )
    assert (differ(one, other) is None) == (differ(other, one) is None) == pair
    if not pair:
        assert "last digit" in differ(one, other)


def test_records_on_other_weights_of_a_model_that_both_have_are_no_pair(record):
    one = record("gram", 0, 50, weights={"parent-0": "aa", "judge": "bb"})
    assert differ(one, record("average", 0, 60, weights={"parent-0": "aa", "extra": "cc"})) is None
    assert differ(one, record("average", 0, 60, weights={"parent-0": "a2", "judge": "b2"})) == (
        "other weights of judge, parent-0"
    )
    assert differ(one, record("average", 0, 60)) is None  # not known


def test_only_seeds_that_both_have_are_looked_at(record):
    one = {seed: record("gram", seed, 50) for seed in (0, 1, 2)}
    other = {seed: record("average", seed, 50, environment=NATIVE) for seed in (1, 2, 3)}
    found = unpaired(one, other)
    assert list(found) == [1, 2]
    assert told("gram", "average", found) == f"gram and average are not paired on seeds 1, 2 ({PINNED} and {NATIVE})"
    assert told("gram", "average", {1: "why"}) == "gram and average are not paired on seed 1 (why)"


def test_the_main_environment_is_that_of_most_records(record):
    records = [record("gram", 0, 50, environment=NATIVE)] + [record("gram", s, 50) for s in (1, 2)]
    assert main_environment(records) == main_environment(records[::-1]) == PINNED
    assert main_environment(records[:1]) == NATIVE
    assert main_environment(records[:2]) == main_environment(records[1::-1])  # a tie does not hang on the order
    assert main_environment([]) == ""
