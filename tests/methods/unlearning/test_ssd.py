"""SSD: importances against a plain loop, what is shrunk by how much, and when nothing is."""

import math

import pytest
import torch
from torch import nn

from bench.data import load
from bench.data.spec import DataSpec
from bench.models import build
from bench.task import gradients as module
from methods.unlearning.ssd import factor, squared_gradients, ssd

DIGITS = DataSpec(name="digits", train=100, validation=50)


def by_loop(model, images, labels):
    """Sum of squared gradients, one row after the other."""
    total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for image, label in zip(images, labels, strict=True):
        loss = nn.functional.cross_entropy(model.eval()(image[None].float() / 255), label[None])
        for name, g in zip(total, torch.autograd.grad(loss, list(model.parameters())), strict=True):
            total[name] += g**2
    return total


@pytest.mark.parametrize(
    ("arch", "options"),
    [
        ("mlp", {"width": 8, "depth": 2, "norm": "batch"}),
        ("resnet8", {"width": 2}),
        ("vit", {"width": 8, "depth": 1, "heads": 2}),
    ],
)
@pytest.mark.parametrize("numbers", [module.GRADIENT_NUMBERS, 1])
def test_importances_against_a_plain_loop(monkeypatch, arch, options, numbers):
    monkeypatch.setattr(module, "GRADIENT_NUMBERS", numbers)  # 1: row after row
    dataset = load(DIGITS)
    model = build(arch, options, 10, dataset, seed=0).train()
    images, labels = dataset.train.inputs[:7], dataset.train.labels[:7]
    found = squared_gradients(model, images, labels, torch.device("cpu"))
    for name, wanted in by_loop(model, images, labels).items():
        torch.testing.assert_close(found[name], wanted, rtol=1e-3, atol=1e-6)


def test_a_weight_is_shrunk_where_it_matters_too_much_for_forgotten_rows():
    forget, everything = torch.tensor([0.0, 1.0, 4.0, 5.0, 20.0, 3.0]), torch.tensor([0.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    assert factor(forget, everything, 4.0, 1.0).tolist() == pytest.approx([1, 1, 1, 1 / 5, 1 / 20, 0])
    assert factor(forget, everything, 4.0, 0.5).tolist() == pytest.approx([1, 1, 1, 1 / 10, 1 / 40, 0])
    assert factor(forget, everything, 0.5, 3.0).tolist() == pytest.approx(
        [1, 1, 3 / 4, 3 / 5, 3 / 20, 0]
    )  # never grown


def test_a_selected_factor_is_below_dampening_over_alpha():
    generator = torch.Generator().manual_seed(0)
    forget, everything = torch.rand(2, 1000, generator=generator)
    factors = factor(forget, everything, 3.0, 0.8)
    selected = forget > 3 * everything
    assert 0 < int(selected.sum()) < 1000
    assert bool((factors[selected] < 0.8 / 3).all())
    assert bool((factors[~selected] == 1).all())


def test_infinite_threshold_is_the_identity(make_task, original, same):
    assert same(ssd(make_task("ssd"), alpha=math.inf), original)


@pytest.mark.parametrize("rows", [None, torch.arange(100)])
def test_beyond_the_inverse_of_the_forgotten_share_nothing_is_selected(make_task, original, same, rows):
    task = make_task("ssd", rows=rows)
    bound = 500 / len(task.forget_inputs)
    assert same(ssd(task, alpha=1.001 * bound), original)
    assert not same(ssd(make_task("ssd", rows=rows), alpha=0.5 * bound), original)


def test_weights_are_multiplied_as_the_formula_says(make_task, original):
    task = make_task("ssd")
    forgotten, retained = len(task.forget_inputs), len(task.retain_inputs)
    gone = by_loop(original, task.forget_inputs, task.forget_labels)
    kept = by_loop(original, task.retain_inputs, task.retain_labels)
    first = {name: p.detach().clone() for name, p in original.named_parameters()}
    chosen = 0
    for name, p in ssd(task, alpha=3.0, dampening=0.7).named_parameters():
        all_rows = (gone[name] + kept[name]) / (forgotten + retained)
        ratio = gone[name] / forgotten / all_rows.clamp(min=1e-30)
        clear = (ratio - 3).abs() > 1e-2  # of what is on the edge, rounding decides
        wanted = torch.where(ratio > 3, first[name] * 0.7 / ratio, first[name])
        torch.testing.assert_close(p.detach()[clear], wanted[clear], rtol=1e-3, atol=1e-6)
        chosen += int((ratio > 3).sum())
    assert chosen > 100


def test_it_forgets_a_class_and_keeps_the_others_and_the_statistics(make_task, original, same, accuracy):
    model = ssd(make_task("ssd"))
    assert accuracy(model, forgotten=True) < 0.2
    assert accuracy(model) > accuracy(original) - 0.1
    assert same(model, original, "running")
    assert all(p.requires_grad for p in model.parameters())
