"""AdaMerging: starts from task arithmetic, lowers the entropy, and trains coefficients and nothing else."""

import copy

import pytest
import torch
from torch import Tensor, nn

from bench import registry
from bench.device import Device
from bench.draws import seed_of
from bench.errors import AccessDenied
from bench.scenarios.merge.scenario import MergeTask
from methods.merging import ties
from methods.merging.adamerging import (
    adamerging,
    adamerging_transductive,
    combine,
    entropy,
    merged_logits,
    without_conflicts,
)
from methods.merging.task_arithmetic import task_arithmetic
from methods.merging.task_vectors import TaskVector, add, task_vectors, total


class Net(nn.Module):
    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3)
        self.norm = nn.BatchNorm2d(6)
        self.linear = nn.Linear(6, 5)
        self.head = nn.Linear(5, classes)

    def features(self, x: Tensor) -> Tensor:
        return self.linear(self.norm(self.conv(x)).relu().mean((2, 3))).relu()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def a_task(dtype: torch.dtype = torch.float32) -> MergeTask:
    """Two tasks of unlike size and number of classes."""
    torch.manual_seed(1)
    nets = [Net(classes).to(dtype).eval() for classes in (5, 3, 2)]
    for net in nets:
        net.head.weight.data *= 5
        for tensor in (net.norm.running_mean, net.norm.weight.data, net.norm.bias.data):
            tensor.add_(torch.randn_like(tensor), alpha=0.1)
    attributes = {
        "init": nets[0],
        "parents": nets[1:],
        "heads": [copy.deepcopy(p.head) for p in nets[1:]],
        "unlabeled": [torch.randint(0, 256, (n, 1, 6, 6), dtype=torch.uint8) for n in (40, 25)],
        "device": torch.device("cpu"),
        "compute": Device(),
        "generator": torch.Generator().manual_seed(seed_of("adamerging")),
        "progress": lambda done, total: None,
    }
    return MergeTask(attributes, {"weights", "unlabeled"}, "adamerging")


def change_of(task: MergeTask, model: nn.Module) -> TaskVector:
    return task_vectors(task.init, [model])[0]


@torch.no_grad()
def entropy_of(task: MergeTask, model: nn.Module) -> float:
    pairs = zip(task.heads, task.unlabeled, strict=True)
    return sum(float(entropy(head(model.features(x / 255)))) for head, x in pairs)


@pytest.mark.parametrize("granularity", ["task", "layer"])
def test_without_a_step_it_is_task_arithmetic(granularity: str):
    task = a_task(torch.float64)
    expected = task_arithmetic(task, scaling=0.3).state_dict()
    for name, tensor in adamerging(task, granularity=granularity, steps=0).state_dict().items():
        torch.testing.assert_close(
            tensor, expected[name], rtol=0, atol=1e-7 if tensor.dtype == torch.float32 else 1e-15
        )


def test_the_plus_plus_without_a_step_is_the_sum_of_what_ties_leaves():
    task = a_task(torch.float64)
    resolved = without_conflicts(task_vectors(task.init, task.parents), 0.4)
    expected = add(task.init, total(resolved), task.parents, 0.3).state_dict()
    for name, tensor in adamerging(task, plus_plus=True, keep=0.4, steps=0).state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=1e-15)


def test_what_is_left_of_conflicting_vectors():
    a = {"w": torch.tensor([[1.0, -4.0]]), "b": torch.tensor([0.1, 2.0, 1.0])}
    b = {"w": torch.tensor([[2.0, 1.0]]), "b": torch.tensor([3.0, 0.2, -1.0])}
    first, second = without_conflicts([a, b], keep=0.8)
    assert torch.equal(first["w"], torch.tensor([[1.0, -4.0]]))
    assert torch.equal(second["w"], torch.tensor([[2.0, 0.0]]))
    assert torch.equal(first["b"], torch.tensor([0.0, 2.0, 0.0]))  # 0.1 is trimmed, and 1 meets -1: neither is elected
    assert torch.equal(second["b"], torch.tensor([3.0, 0.0, 0.0]))


def test_the_mean_of_what_is_left_is_ties():
    task = a_task(torch.float64)
    vectors = task_vectors(task.init, task.parents)
    resolved = without_conflicts(vectors, 0.5)
    for name, merged in ties.merge(vectors, 0.5).items():
        left = torch.stack([v[name] for v in resolved])
        average = left.sum(0) / (left != 0).sum(0).clamp(min=1)
        torch.testing.assert_close(average, merged, rtol=0, atol=1e-12)


@pytest.mark.parametrize("options", [{"granularity": "task"}, {"granularity": "layer"}, {"plus_plus": True}])
def test_the_entropy_falls(options: dict):
    task = a_task()
    before, middle, after = (entropy_of(task, adamerging(task, steps=n, **options)) for n in (0, 10, 60))
    assert after < middle < before
    assert after < 0.95 * before


@pytest.mark.parametrize(("granularity", "distinct"), [("task", 1), ("layer", 6)])
def test_the_change_is_a_combination_of_the_task_vectors_and_of_nothing_else(granularity: str, distinct: int):
    task = a_task()
    change = change_of(task, adamerging(task, granularity=granularity, steps=20))
    vectors = task_vectors(task.init, task.parents)
    found = []
    for name, delta in change.items():
        basis = torch.stack([v[name].flatten() for v in vectors], 1).double()
        solution = torch.linalg.lstsq(basis, delta.flatten().double()[:, None]).solution
        torch.testing.assert_close(basis @ solution, delta.flatten().double()[:, None], rtol=0, atol=1e-6)
        assert (solution - 0.3).abs().max() > 0.02
        found.append(solution.flatten())
    assert len(found) == 6
    spread = torch.stack(found).amax(0) - torch.stack(found).amin(0)
    assert (spread.max() < 1e-4) == (distinct == 1)


def test_coefficients_count_within_zero_and_one():
    stacks = {"w": torch.tensor([[1.0, 2.0], [10.0, 20.0]])}
    coefficients = torch.tensor([[-3.0], [1.5]], requires_grad=True)
    merged = combine(stacks, coefficients)["w"]
    assert torch.equal(merged.detach(), torch.tensor([10.0, 20.0]))
    task = a_task()
    largest = change_of(task, adamerging(task, steps=40, lr=5.0))["linear.bias"].double()
    basis = torch.stack([v["linear.bias"] for v in task_vectors(task.init, task.parents)], 1).double()
    solution = torch.linalg.lstsq(basis, largest[:, None]).solution
    assert ((solution > -1e-5) & (solution < 1 + 1e-5)).all()


def test_each_task_has_its_own_head_and_the_network_is_in_eval_mode():
    task = a_task()
    vectors = task_vectors(task.init, task.parents)
    stacks = {name: torch.stack([v[name] for v in vectors]) for name in vectors[0]}
    got = merged_logits(task, stacks)(torch.full((2, 1), 0.3), task.unlabeled)
    model = task_arithmetic(task, scaling=0.3).eval()
    for z, head, images in zip(got, task.heads, task.unlabeled, strict=True):
        torch.testing.assert_close(z, head(model.features(images / 255)), rtol=0, atol=1e-5)
    assert [z.shape[1] for z in got] == [3, 2]


def test_gradients_reach_the_coefficients_only():
    task = a_task()
    models = (task.init, *task.parents, *task.heads)
    before = copy.deepcopy([m.state_dict() for m in models])
    adamerging(task, steps=3)
    for old, model in zip(before, models, strict=True):
        assert all(torch.equal(old[k], v) for k, v in model.state_dict().items())
        assert all(p.grad is None for p in model.parameters())


def test_entropy_of_known_distributions():
    assert float(entropy(torch.zeros(3, 4))) == pytest.approx(torch.tensor(4.0).log().item())
    assert float(entropy(torch.tensor([[0.0, -1e4]]))) == 0.0


def test_a_held_out_task_is_served_by_the_others_experts():
    task = a_task()
    task.__dict__["heads"] = [nn.Linear(5, 4)]  # neither the one parent's nor the other's
    task.__dict__["unlabeled"] = task.unlabeled[:1]
    assert entropy_of(task, adamerging(task, steps=60)) < entropy_of(task, adamerging(task, steps=0))


def test_the_transductive_one_sees_test_images_and_the_other_none():
    registry.discover()
    accesses = [registry.METHODS.get(name).access for name in ("adamerging", "adamerging-transductive")]
    assert accesses == [{"weights", "unlabeled"}, {"weights", "unlabeled-test"}]
    task = a_task()
    images = task.__dict__.pop("unlabeled")
    with pytest.raises(AccessDenied, match="unlabeled"):
        adamerging(task, steps=1)
    task.__dict__["unlabeled_test"] = images
    test = adamerging_transductive(task, steps=7, lr=0.01, batch_size=8)
    other = a_task()
    train = adamerging(other, steps=7, lr=0.01, batch_size=8)
    for name, tensor in train.state_dict().items():  # on the same images they are one method
        assert torch.equal(tensor, test.state_dict()[name]), name


def test_the_entropy_falls_on_the_images_that_are_judged():
    task = a_task()
    task.__dict__["unlabeled_test"] = task.unlabeled
    before, after = (entropy_of(task, adamerging_transductive(task, steps=n)) for n in (0, 300))
    assert after < 0.99 * before
