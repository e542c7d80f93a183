"""Disposal: what the collision loss is, that it is felt, and what must be equal without it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from bench import registry
from bench.data import load
from bench.data.spec import DataSpec
from bench.device import Device
from bench.errors import AccessDenied
from bench.lab import Lab, Setup
from bench.models.spec import Architecture
from bench.models.zoo import Zoo
from bench.scenarios.dispose.scenario import Dispose, DisposeTask
from bench.schema.recipe import Recipe
from bench.task.task import grant
from methods.disposal.baselines import (
    CLIP,
    climb,
    dispose_ascent,
    dispose_neggrad,
    dispose_random_labels,
    dispose_uniform,
    keep_target,
    target_finetune,
)
from methods.disposal.gradient_collision import chunk_gradient, collision, gradient_collision, mean_cosine
from methods.disposal.spoiling import UnderSourceHead

DATA = DataSpec(name="digits", train=400, validation=100)
TUNE = Recipe(epochs=3, batch_size=32, optimizer="adamw", peak_lr=2e-3, augment="shift", label_smoothing=0.1)
SETTINGS = Dispose(model="net", source=(0, 1, 2, 3), target=(4, 5, 6), fine_tune=TUNE)
TERMS = {
    "gradient-collision": gradient_collision,
    "dispose-random-labels": dispose_random_labels,
    "dispose-uniform": dispose_uniform,
    "dispose-ascent": dispose_ascent,
}


@pytest.fixture(scope="module")
def situation(tmp_path_factory):
    """An MLP with BatchNorm: running statistics that source images must not reach."""
    dataset = load(DATA)
    models = {"net": Architecture(arch="mlp", options={"width": 24, "depth": 2, "norm": "batch"})}
    recipe = Recipe(epochs=5, batch_size=32, peak_lr=0.1, augment="none")
    setup = Setup(DATA, dataset.fingerprint, 10, models, recipe, seed=0)
    return SETTINGS.prepare(Lab(setup, dataset, Zoo(tmp_path_factory.mktemp("zoo"), Device()), Device()))


@pytest.fixture
def make_task(situation):
    """`make_task("keep-target")` is the task that the method gets."""

    def make(method: str, seed: int = 0) -> DisposeTask:
        common = {
            "device": lambda: torch.device("cpu"),
            "compute": Device,
            "seed": lambda: seed,
            "generator": lambda: torch.Generator().manual_seed(seed),
            "progress": lambda: lambda done, total: None,
        }
        torch.manual_seed(seed)
        access = registry.METHODS.get(method).access
        return grant(DisposeTask, common | dict(situation.providers), access, method)

    return make


@pytest.fixture
def network(make_task):
    task = make_task("gradient-collision")
    return UnderSourceHead(task.model, task.source_head)


@pytest.fixture
def batch(make_task):
    task = make_task("gradient-collision")
    return task.source_inputs[:32].float() / 255, task.source_labels[:32]


def same(one: nn.Module, other: nn.Module, part: str = "") -> bool:
    a, b = one.state_dict(), other.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a if part in name)


def test_two_identical_chunks_have_cosine_1(network, batch):
    x, y = batch
    twice = torch.cat([x[:8], x[:8]]), torch.cat([y[:8], y[:8]])
    assert float(collision(2)(network, *twice).detach()) == pytest.approx(1, abs=1e-6)


def test_the_mean_over_pairs_by_hand():
    a, b, c = torch.tensor([[3.0, 0.0], [0.0, 0.1], [-2.0, 0.0]])
    assert float(mean_cosine([a, b])) == 0
    assert float(mean_cosine([a, c])) == -1
    assert float(mean_cosine([a, b, c])) == pytest.approx(-1 / 3)
    assert float(mean_cosine([a, torch.zeros(2)])) == 0


def test_a_chunks_gradient_is_that_of_training(network, batch):
    """Of the mean cross-entropy, by all weights that piggyback learning trains; the target's head is none of them."""
    x, y = batch
    found = chunk_gradient(network.eval(), x, y).detach()
    nn.functional.cross_entropy(network(x), y).backward()
    backbone = [p.grad for name, p in network.backbone.named_parameters() if not name.startswith("head.")]
    expected = torch.cat([g.flatten() for g in [*backbone, network.head.weight.grad, network.head.bias.grad]])
    torch.testing.assert_close(found, expected)
    assert network.backbone.head.weight.grad is None


def test_the_gradient_of_the_loss_by_finite_differences(network, batch):
    """What a detached chunk gradient would not have at all."""
    x, y = (part[:12] for part in batch)
    network = network.double().train()
    x = x.double()
    weight = network.backbone.hidden[1].weight
    (gradient,) = torch.autograd.grad(collision(3)(network, x, y), weight)
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = []
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            weight += step * direction
        values.append(float(collision(3)(network, x, y).detach()))
        with torch.no_grad():
            weight -= step * direction
    assert float((gradient * direction).sum()) == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-3)
    assert gradient.abs().sum() > 0


def test_each_chunk_is_normalised_by_itself(network, batch):
    """With BatchNorm too, the cosine of two chunks does not depend on what else is in the batch."""
    x, y = batch
    network.train()
    one, two = (
        collision(2)(network, torch.cat([x[:8], x[k : k + 8]]), torch.cat([y[:8], y[k : k + 8]])) for k in (8, 16)
    )
    gradients = [chunk_gradient(network, x[k : k + 8], y[k : k + 8]) for k in (0, 8, 16)]
    both = mean_cosine(gradients[:2]), mean_cosine([gradients[0], gradients[2]])
    torch.testing.assert_close((one, two), both)


def test_source_images_leave_no_trace_in_running_statistics(network, batch):
    before = copy.deepcopy(network.state_dict())
    network.train()
    collision(4)(network, *batch)
    climb(network, *batch)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_two_hundred_steps_make_gradients_collide(make_task, batch):
    """As whoever trains on would meet them, in train mode."""
    task = make_task("gradient-collision")
    kept = keep_target(task, steps=200, lr=3e-3)
    model = gradient_collision(task, steps=200, lr=3e-3, weight=20.0)
    before, after = (
        float(collision(4)(UnderSourceHead(network, task.source_head).train(), *batch).detach())
        for network in (kept, model)
    )
    assert after < before / 2


@pytest.mark.parametrize("name", TERMS)
def test_without_its_weight_a_term_is_not_there(make_task, name):
    kept = keep_target(make_task("keep-target"), steps=12)
    assert same(TERMS[name](make_task(name), steps=12, weight=0.0), kept)
    assert not same(TERMS[name](make_task(name), steps=12, weight=1.0), kept)


def test_without_distillation_it_is_finetuning(make_task, situation):
    tuned, kept = (
        target_finetune(make_task("target-finetune"), steps=12),
        keep_target(make_task("keep-target"), steps=12),
    )
    assert not same(tuned, kept)
    assert not same(tuned, situation.judge["model"])


@pytest.mark.parametrize("name", [*TERMS, "dispose-neggrad"])
def test_the_given_networks_are_not_changed(make_task, situation, name):
    task = make_task(name)
    registry.METHODS.get(name).function(task, steps=12)
    assert same(task.model, situation.judge["model"])
    assert same(task.source_head, situation.judge["head"])


def test_neggrad_alone_leaves_the_targets_head_and_statistics(make_task, situation):
    model = dispose_neggrad(make_task("dispose-neggrad"), steps=12)
    given = situation.judge["model"]
    assert same(model, given, "head")
    assert same(model, given, "running")
    assert not same(model, given, "hidden")


def test_the_source_term_moves_nothing_of_the_targets_head(network, batch):
    for term in (collision(4), climb):
        network.zero_grad()
        term(network, *batch).backward()
        assert network.backbone.head.weight.grad is None
        assert network.backbone.hidden[0].weight.grad.any()


def test_a_row_beyond_the_clip_pulls_no_more(network, batch):
    x, y = batch
    with torch.no_grad():
        network.head.bias[0] += 10 * CLIP
    rows = y != 0  # their cross-entropy is far beyond the clip
    value = climb(network.eval(), x[rows], y[rows])
    assert float(value.detach()) == -CLIP
    value.backward()
    assert not network.head.weight.grad.any()


def test_ascent_spoils_the_old_head_and_keeps_the_target(make_task, situation):
    """And yet says nothing about disposal: that is for piggyback learning to say."""
    task = make_task("dispose-ascent")
    model = dispose_ascent(task, steps=300, lr=1e-2)

    def accuracy(network, images, labels):
        with torch.no_grad():
            return float((network(images.float() / 255).argmax(1) == labels).double().mean())

    old = [
        accuracy(
            UnderSourceHead(copy.deepcopy(network), task.source_head).train(), task.source_inputs, task.source_labels
        )
        for network in (situation.judge["model"], model)
    ]
    assert old[0] > 0.6
    assert old[1] < 0.3
    assert accuracy(model, task.target_inputs, task.target_labels) > 0.9


@pytest.mark.parametrize("name", ["keep-target", "target-finetune"])
def test_who_trains_on_the_target_alone_sees_no_source(make_task, name):
    with pytest.raises(AccessDenied, match="source_inputs"):
        _ = make_task(name).source_inputs


def test_no_method_sees_validation_rows(make_task):
    for name in (*TERMS, "keep-target", "target-finetune", "dispose-neggrad"):
        with pytest.raises(AccessDenied, match="validation_target"):
            _ = make_task(name).validation_target
