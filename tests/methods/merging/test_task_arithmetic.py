"""Task arithmetic: its endpoints and its linearity."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from methods.merging.task_arithmetic import task_arithmetic


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 4)
        self.norm = nn.BatchNorm1d(4)
        self.head = nn.Linear(4, 3)


def a_task(parents: int) -> SimpleNamespace:
    torch.manual_seed(0)
    return SimpleNamespace(init=Net().double(), parents=[Net().double() for _ in range(parents)])


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.flatten() for name, p in model.named_parameters() if not name.startswith("head.")]).detach()


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_one_over_k_is_the_plain_average(count: int):
    task = a_task(count)
    close(weights(task_arithmetic(task, scaling=1 / count)), sum(weights(p) for p in task.parents) / count)


def test_one_parent_at_full_scale_is_that_parent():
    task = a_task(1)
    close(weights(task_arithmetic(task, scaling=1.0)), weights(task.parents[0]))


def test_at_zero_it_is_the_initialisation():
    task = a_task(3)
    assert torch.equal(weights(task_arithmetic(task, scaling=0.0)), weights(task.init))


def test_the_change_is_linear_in_the_coefficient():
    task = a_task(2)
    start = weights(task.init)
    once, twice = (weights(task_arithmetic(task, scaling=s)) - start for s in (0.4, 0.8))
    close(2 * once, twice)
