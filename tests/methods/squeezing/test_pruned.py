"""The teacher's largest weights: how many, which ones, and that zeros stay zero."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import Tensor, nn

from bench import Skip
from bench.device import Device
from bench.models.train import fit
from bench.schema.recipe import Recipe
from methods.squeezing import pruned as module
from methods.squeezing.factors import count, layers
from methods.squeezing.pruned import keep_largest, mask_layers, pruned, sparsity

RECIPES = {
    "sgd": Recipe(epochs=2, batch_size=32, peak_lr=0.05, weight_decay=5e-4, augment="none"),
    "adamw": Recipe(epochs=2, batch_size=32, peak_lr=0.005, weight_decay=0.05, optimizer="adamw", augment="none"),
}


def weights(model: nn.Module) -> Tensor:
    return torch.cat([layer.weight.detach().flatten() for layer in layers(model).values()])


def in_scale(model: nn.Module) -> Tensor:
    """Magnitudes in units of the standard deviation of their layer's weights."""
    found = [layer.weight.detach() for layer in layers(model).values()]
    return torch.cat([(w.abs() / w.std(correction=0)).flatten() for w in found])


def nonzero(model: nn.Module) -> int:
    return sum(int(p.count_nonzero()) for p in model.parameters())


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_teachers_largest_weights_are_kept_and_zeros_stay_to_the_bit(make_task, recipe):
    task = make_task(recipe=recipe)
    before, budget = copy.deepcopy(task.teacher), count(task.student)
    rest = count(before) - weights(before).numel()
    kept = torch.zeros_like(weights(before), dtype=torch.bool)
    kept[in_scale(before).topk(budget - rest).indices] = True
    model = pruned(task)
    assert torch.equal(weights(model) != 0, kept)
    assert nonzero(model) == budget
    shapes = {name: value.shape for name, value in before.state_dict().items()}
    assert {name: value.shape for name, value in model.state_dict().items()} == shapes  # no mask is left on it
    assert all(torch.equal(before.state_dict()[name], value) for name, value in task.teacher.state_dict().items())


@pytest.mark.parametrize("until", [0.0, 0.5, 1.0])
def test_all_schedules_end_at_the_students_size_and_learn(make_network, make_task, accuracy, until):
    task = make_task(recipe=RECIPES["sgd"])
    task.student = make_network("mlp-batch", 24)
    budget = count(task.student)
    model = pruned(task, until=until)
    assert nonzero(model) == budget
    assert accuracy(model) > 75


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_density_one_is_fine_tuning_the_teacher(make_task, recipe):
    task = make_task(recipe=recipe)
    task.student = copy.deepcopy(task.teacher)
    expected, other = copy.deepcopy(task.teacher).requires_grad_(True), make_task(recipe=recipe)
    fit(expected, other.inputs, other.labels, recipe, generator=other.generator, device=Device())
    model = pruned(task)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-6, atol=1e-7)


def test_weights_go_along_the_cubic_schedule_and_none_comes_back(make_task, monkeypatch):
    seen: list[Tensor] = []

    def watched(own: list[nn.Module], number: int) -> None:
        keep_largest(own, number)
        seen.append(torch.cat([layer.parametrizations.weight[0].kept.flatten() for layer in own]))

    monkeypatch.setattr(module, "keep_largest", watched)
    task = make_task(recipe=RECIPES["sgd"])
    total = weights(task.teacher).numel()
    target = count(task.student) - (count(task.teacher) - total)
    steps = 2 * (len(task.inputs) // 32)
    pruned(task, until=0.5)
    span = round(steps / 2)
    wanted = [total - round((total - target) * (1 - (1 - t / span) ** 3)) for t in range(span)] + [target] * 2
    assert [int(kept.sum()) for kept in seen] == wanted
    assert not any((later & ~earlier).any() for earlier, later in itertools.pairwise(seen))


def test_the_schedule_starts_at_none_and_ends_at_all():
    assert sparsity(0.0) == 0
    assert sparsity(0.5) == pytest.approx(1 - 0.125)
    assert sparsity(1.0) == 1


@pytest.mark.parametrize("name", ["mlp-batch", "resnet8", "resnet8-layer", "vit"])
def test_exactly_so_many_weights_are_kept_over_all_layers(make_network, images, name):
    model = make_network(name, 16)
    before = copy.deepcopy(model)
    own = mask_layers(model)
    keep_largest(own, weights(before).numel())
    assert torch.equal(model(images), before(images))
    keep_largest(own, 1000)
    flat = torch.cat([layer.weight.flatten() for layer in own])
    assert int(flat.count_nonzero()) == 1000
    assert in_scale(before)[flat != 0].min() >= in_scale(before)[flat == 0].max()


def test_a_layer_of_small_weights_keeps_its_share():
    """Han et al.: the threshold is a multiple of the layer's own deviation, not one for all layers."""
    model = nn.Sequential(nn.Linear(20, 20, bias=False), nn.Linear(20, 20, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(model[0].weight / 100)
    own = mask_layers(model)
    keep_largest(own, 200)
    assert [int(layer.weight.count_nonzero()) for layer in own] == [100, 100]


def test_ties_and_zeros_keep_the_count():
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Embedding(3, 2))
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[1].weight.zero_()
    own = mask_layers(model)
    keep_largest(own, 5)
    assert model[0].weight.flatten().tolist() == [1.0] * 5 + [0.0] * 11
    assert not model[1].weight.any()


def test_a_size_below_norms_and_biases_is_refused(make_task, make_network):
    task = make_task()
    task.student = nn.Linear(2, 2)
    with pytest.raises(Skip, match="norms and biases"):
        pruned(task)
