"""DARE: what random dropping keeps, exactly and in the mean, and what it hands to other merges."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from bench import registry
from methods.merging import ties
from methods.merging.dare import dare, drop_and_rescale
from methods.merging.task_arithmetic import task_arithmetic
from methods.merging.task_vectors import add, mean, task_vectors


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)


def a_task(parents: int = 3) -> SimpleNamespace:
    torch.manual_seed(0)
    nets = [Net().double() for _ in range(parents + 1)]
    return SimpleNamespace(init=nets[0], parents=nets[1:], generator=seeded(5))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(tensor, b.state_dict()[name]) for name, tensor in a.state_dict().items())


def test_dropping_nothing_changes_nothing():
    vector = {"w": torch.randn(4, 5, generator=seeded(0))}
    assert torch.equal(drop_and_rescale(vector, 0.0, seeded(1))["w"], vector["w"])


@pytest.mark.parametrize("drop", [0.1, 0.5, 0.9])
def test_every_entry_is_dropped_or_rescaled_and_keeps_its_mean_and_has_the_papers_variance(drop: float):
    n, tau = 200_000, 0.7
    sparse = drop_and_rescale({"w": torch.full((n,), tau, dtype=torch.float64)}, drop, seeded(2))["w"]
    assert set(sparse.unique().tolist()) == {0.0, tau / (1 - drop)}
    variance = tau**2 * drop / (1 - drop)
    assert abs(sparse.mean() - tau) < 5 * (variance / n) ** 0.5
    assert abs(sparse.var() / variance - 1) < 0.03


def test_masks_differ_between_tensors_and_between_models():
    vector = {"a": torch.ones(8, 8), "b": torch.ones(8, 8)}
    generator = seeded(3)
    first, second = (drop_and_rescale(vector, 0.5, generator) for _ in range(2))
    assert not torch.equal(first["a"], first["b"])
    assert not torch.equal(first["a"], second["a"])
    again = drop_and_rescale(vector, 0.5, seeded(3))
    assert torch.equal(again["a"], first["a"])
    assert torch.equal(again["b"], first["b"])


def test_without_dropping_it_is_the_merge_it_hands_on_to():
    task = a_task()
    vectors = task_vectors(task.init, task.parents)
    assert same(dare(task, drop=0.0), task_arithmetic(task, scaling=0.3))
    assert same(dare(task, drop=0.0, merge="average"), add(task.init, mean(vectors), task.parents))
    assert same(dare(task, drop=0.0, merge="ties"), ties.ties(task))
    assert same(dare(task, drop=0.0, merge="ties", keep=0.6), ties.ties(task, keep=0.6))


@pytest.mark.parametrize("merge", ["average", "task-arithmetic", "ties"])
def test_the_change_is_proportional_to_the_scaling(merge: str):
    changes = []
    for scaling in (0.4, 0.8):
        task = a_task()  # with its generator anew, and so with the same masks
        model = dare(task, merge=merge, scaling=scaling)
        changes.append(torch.cat([d.flatten() for d in task_vectors(task.init, [model])[0].values()]))
    torch.testing.assert_close(2 * changes[0], changes[1], rtol=0, atol=1e-12)
    assert changes[0].abs().max() > 0.1


def test_ties_merges_what_is_left_by_dropping():
    task = a_task()
    vectors, generator = task_vectors(task.init, task.parents), seeded(5)
    sparse = [drop_and_rescale(v, 0.7, generator) for v in vectors]
    expected = add(task.init, ties.merge(sparse, 0.2), task.parents)
    assert same(dare(task, drop=0.7, merge="ties"), expected)


@pytest.mark.parametrize("drop", [1.0, -0.1])
def test_a_share_that_leaves_nothing_is_refused(drop: float):
    registry.discover()
    with pytest.raises(ValueError, match=r"drop\n.*Input should be (less than 1|greater than or equal to 0)"):
        registry.parameters(registry.METHODS.get("dare")).model_validate({"drop": drop})
