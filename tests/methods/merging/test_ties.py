"""TIES: the cases that a textbook can work out by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from methods.merging.ties import elect_and_average, merge, trim

VECTOR = torch.tensor([0.1, -3.0, 2.0, 0.5, -0.2])


def test_two_equal_vectors_give_the_trimmed_vector():
    merged = merge([{"w": VECTOR}, {"w": VECTOR}], keep=0.4)["w"]
    assert torch.equal(merged, torch.tensor([0.0, -3.0, 2.0, 0.0, 0.0]))


def test_opposite_vectors_cancel_to_zero():
    assert torch.equal(merge([{"w": VECTOR}, {"w": -VECTOR}], keep=1.0)["w"], torch.zeros(5))


def test_with_all_kept_and_equal_signs_it_is_the_mean():
    other = VECTOR * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    torch.testing.assert_close(merge([{"w": VECTOR}, {"w": other}], keep=1.0)["w"], (VECTOR + other) / 2)


def test_one_vector_is_only_trimmed():
    assert torch.equal(merge([{"w": VECTOR}], keep=0.6)["w"], trim(VECTOR, 0.6))


def test_the_elected_sign_is_that_of_the_sum_and_the_others_do_not_count():
    trimmed = torch.tensor([[1.0, -4.0, 0.0], [2.0, 1.0, 0.0], [-5.0, 1.0, 3.0]])
    assert torch.equal(elect_and_average(trimmed), torch.tensor([-5.0, -4.0, 3.0]))


def test_trimming_ranks_the_whole_vector_not_each_weight():
    merged = merge([{"small": torch.tensor([[0.1, 0.2]]), "large": torch.tensor([5.0, 6.0])}], keep=0.5)
    assert torch.equal(merged["small"], torch.zeros(1, 2))
    assert torch.equal(merged["large"], torch.tensor([5.0, 6.0]))


@given(keep=st.floats(0, 1), length=st.integers(1, 300), seed=st.integers(0, 5))
@settings(max_examples=40)
def test_exactly_the_largest_entries_stay(keep: float, length: int, seed: int):
    vector = torch.randn(length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    trimmed = trim(vector, keep)
    count = int(keep * length)
    assert int((trimmed != 0).sum()) == count
    largest = vector.abs().sort(descending=True).values[:count]
    assert torch.equal(trimmed.abs().sort(descending=True).values[:count], largest)


def test_entries_that_tie_at_the_threshold_all_stay():
    vector = torch.tensor([1.0, -1.0, 1.0, 0.5])
    assert torch.equal(trim(vector, 0.25), torch.tensor([1.0, -1.0, 1.0, 0.0]))


@given(arrays("float64", (3, 12), elements=st.integers(-3, 3)), st.permutations(range(3)))
@settings(max_examples=30)
def test_the_order_of_tasks_does_not_matter(values, order):
    vectors = [{"w": torch.from_numpy(row)} for row in values]
    shuffled = merge([vectors[i] for i in order], keep=0.5)["w"]
    torch.testing.assert_close(shuffled, merge(vectors, keep=0.5)["w"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("broken", [[0.0, float("nan"), 0.0, 0.0, 0.0], [float("nan")] * 5])
def test_what_is_nan_in_a_parent_shows_in_the_merge(broken):
    merged = merge([{"w": VECTOR}, {"w": torch.tensor(broken)}], keep=0.4)["w"]
    assert torch.equal(merged.isnan(), torch.tensor(broken).isnan())
