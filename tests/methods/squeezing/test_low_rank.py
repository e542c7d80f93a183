"""The teacher's layers by truncated SVD: exact factors, ranks that fill a budget, training."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from bench import Skip
from bench.device import Device
from bench.method_process import forms
from bench.models.resnet import Projection
from bench.models.train import cross_entropy, fit
from bench.schema.recipe import Recipe
from methods.squeezing.factors import as_matrix, count, factorise, layers, squared_norm
from methods.squeezing.low_rank import decayed_products, low_rank, squared_norms, truncate
from methods.squeezing.ranks import choose_ranks

PAIRS = [("mlp", 64, 16), ("mlp-batch", 96, 24), ("resnet8", 32, 16), ("resnet8-layer", 16, 8), ("vit", 64, 32)]


class Words(nn.Module):
    """Means of word vectors, and a linear head."""

    def __init__(self, entries: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(entries, width, padding_idx=0)
        self.up = nn.Linear(width, 2 * width)
        self.head = nn.Linear(2 * width, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.up(self.embed(x)).relu().mean(1))


@pytest.mark.parametrize("name", ["mlp", "mlp-batch", "resnet8", "resnet8-layer", "vit"])
def test_full_rank_is_the_teacher(make_network, images, name):
    teacher = make_network(name, 16).double()
    full = copy.deepcopy(teacher)
    truncate(full, {layer: min(as_matrix(own).shape) for layer, own in layers(full).items()})
    assert not set(layers(full)) & set(layers(teacher))  # every layer has become two
    with torch.no_grad():
        torch.testing.assert_close(full(images.double()), teacher(images.double()), rtol=1e-9, atol=1e-9)


def test_a_factored_embedding_is_one_and_padding_stays_zero():
    model = Words(50, 8).double()
    text = torch.randint(0, 50, (6, 5), generator=torch.Generator().manual_seed(0))
    before = model(text)
    truncate(model, {"embed": 8})
    torch.testing.assert_close(model(text), before, rtol=1e-9, atol=1e-9)
    assert model.embed(torch.tensor([0])).abs().max() < 1e-12
    assert model.embed[0].padding_idx == 0


@pytest.mark.parametrize(
    "layer", [nn.Linear(12, 7), nn.Conv2d(5, 8, 3, stride=2, padding=1, bias=False), nn.Embedding(20, 6)]
)
def test_factors_are_the_nearest_layer_of_their_rank(layer):
    factored = factorise(layer, 3)
    first, second = (as_matrix(part) for part in factored)
    product = first @ second.T if isinstance(layer, nn.Embedding) else second @ first
    s = torch.linalg.svdvals(as_matrix(layer))
    error = (product - as_matrix(layer)).square().sum()
    torch.testing.assert_close(error, s[3:].square().sum(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(squared_norm(factored), s[:3].square().sum(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(first.norm(), second.norm())  # singular values are shared out evenly


@pytest.mark.parametrize(("name", "wide", "narrow"), PAIRS)
def test_ranks_fill_the_students_size_and_never_pass_it(make_network, name, wide, narrow):
    model, budget = make_network(name, wide), count(make_network(name, narrow))
    truncate(model, choose_ranks(model, budget))
    assert 0.99 * budget <= count(model) <= budget


def test_an_embedding_larger_than_the_student_is_factored():
    model, budget = Words(2000, 64), count(Words(2000, 16))
    ranks = choose_ranks(model, budget)
    assert 0 < ranks["embed"] <= 16
    truncate(model, ranks)
    assert 0.99 * budget <= count(model) <= budget


@pytest.mark.parametrize("name", ["mlp", "resnet8", "vit"])
def test_the_teachers_size_leaves_it_whole(make_network, name):
    model = make_network(name, 16)
    assert choose_ranks(model, count(model)) == {}


def test_rank_goes_where_the_spectrum_is_long():
    model = nn.Sequential(nn.Linear(20, 20, bias=False), nn.Linear(20, 20, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.outer(torch.arange(1.0, 21), torch.ones(20)) + 1e-4 * torch.eye(20))
        model[1].weight.copy_(torch.eye(20) * torch.linspace(2, 1, 20))
    assert choose_ranks(model, 200 + 40) == {"0": 1, "1": 5}
    assert choose_ranks(model, 400 + 40) == {"0": 1}  # the other becomes whole, as half its rank would cost as much


def test_a_size_below_rank_one_is_refused(make_network):
    with pytest.raises(Skip, match="rank one"):
        choose_ranks(make_network("mlp", 64), 100)


def test_decay_on_products_is_weight_decay_where_nothing_is_factored(make_network, make_task):
    task = make_task()
    recipe = Recipe(epochs=1, batch_size=100, peak_lr=0.05, weight_decay=0.01, augment="none")
    ends = []
    for loss, decay in ((None, 0.01), (decayed_products(cross_entropy(), (), 0.01), 0.0)):
        model = make_network("mlp-batch", 8)
        own = recipe.model_copy(update={"weight_decay": decay})
        generator = torch.Generator().manual_seed(0)
        fit(model, task.inputs, task.labels, own, generator=generator, device=Device(), loss=loss)
        ends.append(torch.cat([p.flatten() for p in model.parameters()]))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-6)


def test_decay_of_factors_is_that_of_their_product(make_network):
    model = make_network("resnet8", 8).double()
    whole, ranks = squared_norms(model, ()), {n: min(as_matrix(own).shape) for n, own in layers(model).items()}
    truncate(model, ranks)
    torch.testing.assert_close(squared_norms(model, ranks), whole, rtol=1e-9, atol=1e-9)


def test_the_judge_can_build_the_result(make_network):
    model = make_network("resnet8", 8)
    truncate(model, choose_ranks(model, count(model) // 2))
    forms.pack(model)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_result_is_of_the_students_size_and_has_learnt(make_network, make_task, accuracy, optimizer):
    rate = {"sgd": 0.05, "adamw": 0.005}[optimizer]
    recipe = Recipe(epochs=4, batch_size=32, peak_lr=rate, weight_decay=5e-4, optimizer=optimizer, augment="none")
    task = make_task(recipe=recipe)
    task.student = make_network("mlp-batch", 24)
    before, budget = copy.deepcopy(task.teacher.state_dict()), count(task.student)
    model = low_rank(task)
    assert 0.99 * budget <= count(model) <= budget
    assert accuracy(model) > 75
    assert all(torch.equal(before[name], value) for name, value in task.teacher.state_dict().items())


def test_the_teacher_is_asked_only_where_it_weighs(make_network, make_task):
    for kd_weight, asked in ((0.0, False), (0.5, True)):
        task, seen = make_task(recipe=Recipe(epochs=1, augment="none")), []
        task.student, model = make_network("mlp-batch", 24), task.teacher
        copied = copy.deepcopy(model)
        model.register_forward_pre_hook(lambda module, inputs, seen=seen: seen.append(module))
        low_rank(task, kd_weight=kd_weight)
        assert any(module is model for module in seen) == asked
        assert all(torch.equal(a, b) for a, b in zip(copied.parameters(), model.parameters(), strict=True))


def test_a_factored_projection_of_a_resnet_is_computed_as_the_projection_is(make_network):
    found = layers(make_network("resnet8", 16))
    name = next(name for name, layer in found.items() if isinstance(layer, Projection))
    assert isinstance(factorise(found[name], 2)[0], Projection)
