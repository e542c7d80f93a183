"""RegMean++: block by block, each on the inputs that the merged blocks before it give."""

import pytest
import torch
from torch import Tensor, nn

from bench.device import Device, as_input
from bench.errors import Skip
from bench.scenarios.merge.scenario import MergeTask
from bench.task.statistics import gram_matrices
from methods.fusion.regmean import regmean
from methods.merging.regmean_plus_plus import blocks, regmean_plus_plus


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(6, 6)
        self.down = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.up(x).tanh())


class Net(nn.Module):
    """A stem, two numbered blocks, of which the second has two layers, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(16, 7)
        self.layers = nn.ModuleList([nn.Linear(7, 6), Pair()])
        self.head = nn.Linear(5, 3)

    def features(self, x: Tensor) -> Tensor:
        x = self.stem(x.flatten(1)).tanh()
        for layer in self.layers:
            x = layer(x).tanh()
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def a_task(parents: int = 2) -> MergeTask:
    torch.manual_seed(0)
    nets = [Net().double().eval().requires_grad_(False) for _ in range(parents + 1)]
    unlabeled = [torch.randint(0, 256, (40, 1, 4, 4), dtype=torch.uint8) for _ in range(parents)]
    attributes = {
        "init": nets[0],
        "parents": nets[1:],
        "unlabeled": unlabeled,
        "grams": [gram_matrices(net, own, Device()) for net, own in zip(nets[1:], unlabeled, strict=True)],
        "device": torch.device("cpu"),
        "compute": Device(),
        "progress": lambda done, total: None,
    }
    return MergeTask(attributes, {"weights", "unlabeled", "grams"}, "test")


def lstsq(inputs: list[Tensor], layers: list[nn.Linear]) -> Tensor:
    outputs = [x @ layer.weight.T for x, layer in zip(inputs, layers, strict=True)]
    return torch.linalg.lstsq(torch.cat(inputs), torch.cat(outputs)).solution.T


def close(a: Tensor, b: Tensor, atol: float = 1e-8) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def test_every_block_is_least_squares_on_what_the_merged_blocks_before_it_give():
    task = a_task()
    merged = regmean_plus_plus(task, off_diagonal=1.0, ridge=1e-13)
    x = [as_input(images).double().flatten(1) for images in task.unlabeled]
    close(merged.stem.weight, lstsq(x, [p.stem for p in task.parents]))
    x = [merged.stem(part).tanh() for part in x]
    close(merged.layers[0].weight, lstsq(x, [p.layers[0] for p in task.parents]))
    x = [merged.layers[0](part).tanh() for part in x]
    close(merged.layers[1].up.weight, lstsq(x, [p.layers[1].up for p in task.parents]))
    inside = [p.layers[1].up(part).tanh() for p, part in zip(task.parents, x, strict=True)]  # its own block, not merged
    close(merged.layers[1].down.weight, lstsq(inside, [p.layers[1].down for p in task.parents]))


def test_the_first_layer_is_that_of_regmean_and_the_second_is_not():
    task = a_task()
    merged, plain = regmean_plus_plus(task, off_diagonal=0.9), regmean(task, off_diagonal=0.9)
    close(merged.stem.weight, plain.stem.weight)
    close(merged.stem.bias, plain.stem.bias)
    assert (merged.layers[0].weight - plain.layers[0].weight).abs().max() > 1e-3


def test_one_expert_and_equal_experts_are_fixed_points():
    for task in (a_task(1), a_task(2)):
        task.__dict__["parents"] = [task.parents[0]] * len(task.parents)
        for name, tensor in regmean_plus_plus(task).state_dict().items():
            if not name.startswith("head."):
                close(tensor, task.parents[0].state_dict()[name])


def test_a_held_out_target_has_no_images_of_the_experts():
    task = a_task()
    task.__dict__["unlabeled"] = task.unlabeled[:1]
    with pytest.raises(Skip, match="held-out target"):
        regmean_plus_plus(task)


def test_given_models_stay_as_they_are():
    task = a_task()
    before = [{k: v.clone() for k, v in m.state_dict().items()} for m in (task.init, *task.parents)]
    regmean_plus_plus(task)
    for old, model in zip(before, (task.init, *task.parents), strict=True):
        assert all(torch.equal(old[k], v) for k, v in model.state_dict().items())


def test_what_counts_as_a_block():
    layers = ["stem", "stages.0.1.conv1", "stages.0.1.shortcut.0", "stages.0.2.conv1", "encoder.layers.3.attention.q",
              "encoder.layers.3.up", "hidden.10", "0.conv", "head"]  # fmt: skip
    assert blocks(layers) == {
        "stem": ["stem"],
        "stages.0.1": ["stages.0.1.conv1", "stages.0.1.shortcut.0"],
        "stages.0.2": ["stages.0.2.conv1"],
        "encoder.layers.3": ["encoder.layers.3.attention.q", "encoder.layers.3.up"],
        "hidden.10": ["hidden.10"],
        "0": ["0.conv"],
    }
