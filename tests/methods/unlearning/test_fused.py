"""FUSED: a sparse adapter on critical layers, over a network that comes back to the last bit."""

import copy

import pytest
import torch
from torch import nn

from bench import AccessDenied
from bench.data import load
from bench.data.spec import DataSpec
from bench.device import Device
from bench.models import build
from bench.models.compositions import Overwritten
from bench.models.train import fit
from methods.unlearning.finetune import tuning_recipe
from methods.unlearning.fused import critical_layers, fused, train_retained, without_adapter

IMAGES = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def bits(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def resnet():
    model = build("resnet8", {"width": 4}, 10, load(DataSpec(name="digits", train=20, validation=10)), seed=0)
    return Device().place(model).eval()


@pytest.mark.parametrize("given", ["mlp", "resnet8"])
def test_removal_restores_every_bit(make_task, original, given):
    model = original.eval() if given == "mlp" else resnet()
    state, answers = bits(model), model(IMAGES)
    result = fused(make_task("fused", model=copy.deepcopy(model)), epochs=1)
    assert not torch.allclose(result(IMAGES), answers, atol=1e-3)
    restored = without_adapter(result)
    assert list(restored.state_dict()) == list(state)
    assert all(torch.equal(value, state[name]) for name, value in restored.state_dict().items())
    assert torch.equal(restored(IMAGES), answers)
    assert all(p.requires_grad for p in restored.parameters())
    assert type(restored) is type(model)


def test_the_given_model_stays_as_it_was(make_task, original, same):
    task = make_task("fused")
    fused(task, epochs=1)
    assert same(task.model, original)
    assert all(p.requires_grad for p in task.model.parameters())


@pytest.mark.parametrize("given", ["mlp", "resnet8"])
def test_it_begins_at_the_original(original, given):
    model = original.eval() if given == "mlp" else resnet()
    answers = model(IMAGES)
    names = [name for name, p in model.named_parameters() if p.ndim >= 2]
    assert torch.equal(Overwritten(model, names, 0.5, torch.Generator())(IMAGES), answers)


def test_the_frozen_network_stays_in_eval_mode(original):
    model = Overwritten(original, ["head.weight"], 0.5, torch.Generator()).train()
    assert model.training
    assert not any(module.training for module in model.frozen.modules())


def test_an_adapter_has_its_share_of_entries_on_its_layers_only(make_task):
    result = fused(make_task("fused"), layers=2, density=0.25, epochs=1)
    assert len(result.names) == 2
    assert [n for n, p in result.named_parameters() if p.requires_grad] == ["values.0", "values.1"]
    for i, name in enumerate(result.names):
        weight = result.frozen.get_parameter(name)
        a = result.add(i, torch.zeros_like(weight))
        assert 0 < int((a != 0).sum()) <= round(0.25 * weight.numel()) == len(result.values[i])


def test_it_answers_as_the_network_with_the_adapters_added(make_task):
    result = fused(make_task("fused"), layers=2, epochs=1)
    merged = copy.deepcopy(result.frozen)
    with torch.no_grad():
        for i, name in enumerate(result.names):
            merged.get_parameter(name).add_(result.add(i, torch.zeros_like(merged.get_parameter(name))))
    torch.testing.assert_close(result(IMAGES), merged(IMAGES))


def test_a_full_adapter_is_training_the_matrices(make_task, original):
    """With every entry kept, and without decay, which adapters do not get."""
    task = make_task("fused")
    task.recipe = task.recipe.model_copy(update={"weight_decay": 0.0})
    names = ["hidden.0.weight", "head.weight"]
    full = Overwritten(copy.deepcopy(original), names, 1.0, torch.Generator())
    train_retained(task, full, 1, 0.05)

    def loss(model, x, y, index):
        return nn.functional.cross_entropy(model.eval()(x), y, label_smoothing=0.1)

    fit(
        original,
        task.retain_inputs,
        task.retain_labels,
        tuning_recipe(task.recipe, 1, 0.05),
        generator=torch.Generator().manual_seed(0),
        device=Device(),
        loss=loss,
        parameters=[original.get_parameter(name) for name in names],
    )
    for i, name in enumerate(names):
        there = full.add(i, full.frozen.get_parameter(name))
        torch.testing.assert_close(there, original.get_parameter(name), rtol=1e-3, atol=1e-5)


def test_critical_layers_are_those_that_a_round_changes_most(make_task, original):
    task = make_task("fused")
    names = critical_layers(task, 0.05)
    trained = copy.deepcopy(original)
    recipe = tuning_recipe(task.recipe, 1, 0.05)
    generator = torch.Generator().manual_seed(0)
    fit(trained, task.retain_inputs, task.retain_labels, recipe, generator=generator, device=Device())
    state, start = trained.state_dict(), original.state_dict()
    moved = [float((state[name] - start[name]).abs().sum()) for name in names]
    assert sorted(names) == ["head.weight", "hidden.0.weight", "hidden.1.weight"]
    assert moved == sorted(moved, reverse=True)
    assert moved[-1] > 0


def test_training_the_adapter_fits_the_retained_rows(make_task, original):
    task = make_task("fused")
    images, labels = task.retain_inputs.float() / 255, task.retain_labels
    result = fused(task)
    with torch.no_grad():
        before, after = (
            nn.functional.cross_entropy(m.eval()(images), labels, label_smoothing=0.1) for m in (original, result)
        )
    assert float(after) < float(before)


def test_it_forgets_a_class_and_keeps_the_others(make_task, original, accuracy):
    model = fused(make_task("fused"))
    assert accuracy(model, forgotten=True) < accuracy(original, forgotten=True) - 0.2
    assert accuracy(model) > accuracy(original) - 0.06


def test_draws_come_from_the_task(make_task, same):
    assert same(fused(make_task("fused"), epochs=1), fused(make_task("fused"), epochs=1))
    assert not same(fused(make_task("fused"), epochs=1), fused(make_task("fused", seed=1), epochs=1))


@pytest.mark.parametrize("hidden", ["forget_inputs", "forget_labels", "forget_class"])
def test_it_never_sees_what_is_forgotten(make_task, hidden):
    with pytest.raises(AccessDenied, match=hidden):
        getattr(make_task("fused"), hidden)
