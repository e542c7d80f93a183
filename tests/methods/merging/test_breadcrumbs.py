"""Model Breadcrumbs: which entries stay."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from methods.merging.breadcrumbs import between, breadcrumbs
from methods.merging.task_arithmetic import task_arithmetic
from methods.merging.task_vectors import task_vectors


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 5, 3)
        self.linear = nn.Linear(5, 4)
        self.head = nn.Linear(4, 3)


def a_task(parents: int = 3) -> SimpleNamespace:
    torch.manual_seed(0)
    nets = [Net().double() for _ in range(parents + 1)]
    return SimpleNamespace(init=nets[0], parents=nets[1:])


def test_with_nothing_removed_it_is_task_arithmetic():
    task = a_task()
    got = breadcrumbs(task, density=1.0, gamma=0.0, scaling=0.3).state_dict()
    for name, tensor in task_arithmetic(task, scaling=0.3).state_dict().items():
        assert torch.equal(got[name], tensor), name


def test_a_case_worked_out_by_hand():
    delta = torch.tensor([0.1, -9.0, 2.0, 0.5, -3.0, 0.2, -1.0, 0.3, 0.4, 8.0])
    kept = torch.tensor([0.0, 0.0, 2.0, 0.0, -3.0, 0.0, -1.0, 0.0, 0.0, 0.0])
    assert torch.equal(between(delta, density=0.3, gamma=0.2), kept)


@given(density=st.floats(0, 1), gamma=st.floats(0, 1), length=st.integers(1, 200), seed=st.integers(0, 5))
@settings(max_examples=60)
def test_those_stay_that_follow_the_outliers_in_rank(density: float, gamma: float, length: int, seed: int):
    delta = torch.randn(length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    masked = between(delta, density, gamma)
    first, count = int(gamma * length), int(density * length)
    ranked = delta.abs().sort(descending=True)
    expected = torch.zeros_like(delta)
    rows = ranked.indices[first : first + count]
    expected[rows] = delta[rows]
    assert torch.equal(masked, expected)


def test_of_entries_that_tie_at_a_border_exactly_enough_stay():
    masked = between(torch.ones(100), density=0.25, gamma=0.1)
    assert int((masked != 0).sum()) == 25


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_layout_in_memory_does_not_matter(memory_format: torch.memory_format):
    delta = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    expected = between(delta.flatten(), 0.4, 0.1).view_as(delta)
    assert torch.equal(between(delta.to(memory_format=memory_format), 0.4, 0.1), expected)


def test_every_tensor_of_every_task_is_masked_by_itself():
    task = a_task()
    vectors = task_vectors(task.init, task.parents)
    (change,) = task_vectors(task.init, [breadcrumbs(task, density=0.5, gamma=0.05, scaling=2.0)])
    for name, got in change.items():
        expected = 2.0 * sum(between(v[name], 0.5, 0.05) for v in vectors)
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


def test_a_small_tensor_may_lose_all_it_has():
    task = a_task()
    (change,) = task_vectors(task.init, [breadcrumbs(task, density=0.1)])
    assert torch.equal(change["linear.bias"], torch.zeros(4, dtype=torch.float64))  # floor(0.1 * 4) = 0
    assert int((change["conv.weight"] != 0).sum()) > 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_no_outlier_to_be_removed(value: float):
    delta = torch.tensor([1.0, 2.0, value, 3.0, 4.0])
    assert not between(delta, 0.4, 0.2).isfinite()[2]
