"""Which two records are a pair."""

import pytest

from bench.environment import PINNED
from bench.leaderboard.pairing import differ, most_common, processor, told, unpaired

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


def test_the_main_environment_is_that_of_most_records():
    names = [NATIVE, PINNED, PINNED]
    assert most_common(names) == most_common(names[::-1]) == PINNED
    assert most_common(names[:1]) == NATIVE
    assert most_common(names[:2]) == most_common(names[1::-1])  # a tie does not hang on the order
    assert most_common([]) == ""


def on(record, model, **settings):
    found = record("gram", 0, 50, provenance={"machine": f"Linux x86_64, 2 x {model}"})
    return found.model_copy(update={"asked": found.asked | {"settings": settings}})


EPYC, XEON = "AMD EPYC, family 26 model 2 stepping 1", "Intel Xeon, family 6 model 143 stepping 8"


def test_the_seconds_of_two_processors_are_not_compared(record):
    told = f"seconds of {EPYC} and of {XEON}"
    here, there = (on(record, f"{model}, avx512f", seconds=12) for model in (EPYC, XEON))
    assert differ(here, there) == differ(there, here) == told
    updates = [on(record, f"{model}, avx512f", seconds=None, steps=5) for model in (EPYC, XEON)]
    assert differ(*updates) is None
    assert differ(*updates, seconds=True) == told
    assert unpaired({0: updates[0]}, {0: updates[1]}, seconds=True) == {0: told}


def test_one_model_of_processor_is_one_whatever_its_instructions_are_called(record):
    assert differ(on(record, f"{EPYC}, avx512f", seconds=12), on(record, f"{EPYC}, AVX-512", seconds=12)) is None
    assert differ(on(record, f"{EPYC}, avx512f", seconds=12), record("gram", 0, 50)) is None  # nobody knows
    assert processor(on(record, f"{EPYC}, avx2")) == EPYC
