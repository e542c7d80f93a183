"""NAYER: noisy layers, their redrawing, groups of classes, the plain latent in their place."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.generator import Generator
from methods.datafree.inversion import InversionLoss
from methods.datafree.nayer import FromLabels, FromLatents, Inverter, grouped_classes, nayer, orthonormal

SMALL = {"g_steps": 2, "le_size": 12, "nz": 8, "ngf": 4}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def source(size: int = 20) -> FromLabels:
    torch.manual_seed(0)
    made = FromLabels(orthonormal(10, 16, rng()), Generator(8, 4, (1, 8, 8), nn.Sigmoid()), size)
    made.redraw(rng())
    return made


def test_embeddings_are_orthonormal_and_follow_the_seed():
    e = orthonormal(10, 16, rng())
    torch.testing.assert_close(e @ e.T, torch.eye(10), atol=1e-5, rtol=0)
    assert torch.equal(e, orthonormal(10, 16, rng()))
    assert not torch.allclose(e, orthonormal(10, 16, rng(1)))


def test_every_group_has_every_class_once(trained, make_task):
    classes = grouped_classes(make_task(trained), 23)
    assert classes.shape == (23,)
    assert classes[:10].tolist() == classes[10:20].tolist() == list(range(10))
    assert len(grouped_classes(make_task(trained), 4)) == 4


def test_noisy_layers_differ_between_groups_and_are_drawn_anew():
    made = source()
    assert made.weight.shape == (2, 16, 8)
    assert not torch.allclose(made.weight[0], made.weight[1])
    assert float(made.weight.detach().std()) == pytest.approx(1.0, abs=0.15)
    before = made.weight.detach().clone()
    made.bias.data.fill_(3.0)
    made.redraw(rng(1))
    assert not torch.allclose(made.weight, before)
    assert not made.bias.any()


def test_the_product_is_that_of_one_linear_layer_a_group():
    """The last group is not full."""
    made = source(size=23).eval()
    classes = torch.cat([torch.arange(10), torch.arange(10), torch.tensor([4, 4, 7])])
    e = made.norm(made.embeddings[classes])
    layers = zip(made.weight, made.bias, strict=True)
    z = torch.cat([part @ w + b for part, (w, b) in zip(e.split(10), layers, strict=True)])
    torch.testing.assert_close(made(classes), made.generator(z))


def test_equal_labels_in_different_groups_give_different_images():
    images = source()(torch.arange(10).repeat(2))
    assert (images[:10] - images[10:]).abs().amax((1, 2, 3)).min() > 1e-2
    same = source()
    same.weight.data[1] = same.weight.data[0]
    images = same(torch.arange(10).repeat(2))
    torch.testing.assert_close(images[:10], images[10:])


def make_inverter(trained, make_task, *, noisy: bool = True, g_life: int = 100, g_steps: int = 8) -> Inverter:
    torch.manual_seed(0)
    task = make_task(trained)
    statistics = BatchNormStatistics(trained, 0.9)
    statistics.__enter__()
    loss = InversionLoss(task, task.student, statistics, bn=1.0, oh=0.5, adv=0.0)
    e = orthonormal(10, 16, task.generator) if noisy else None
    return Inverter(task, loss, e, g_steps=g_steps, g_life=g_life, size=20, lr_g=4e-3, nz=16, ngf=8)


def test_noisy_layers_are_trained_with_the_generator(trained, make_task, monkeypatch):
    made = make_inverter(trained, make_task)
    drawn = []
    redraw = FromLabels.redraw
    monkeypatch.setattr(FromLabels, "redraw", lambda s, g: (redraw(s, g), drawn.append(s.weight.detach().clone())))
    made.batch(False)
    made.batch(False)
    assert not torch.allclose(drawn[0], drawn[1])
    assert not torch.allclose(drawn[1], made.source.weight)


def test_frozen_noisy_layers_make_batches_alike(trained, make_task, monkeypatch):
    """Between rounds, images of one class and group: what redrawing is for."""
    distance = {}
    for kind in ("redrawn", "frozen"):
        made = make_inverter(trained, make_task)
        if kind == "frozen":
            made.source.redraw(rng())
            monkeypatch.setattr(FromLabels, "redraw", lambda *_: None)
        rounds = torch.stack([made.batch(False) for _ in range(4)])
        distance[kind] = float((rounds[1:] - rounds[:-1]).square().mean().sqrt())
    assert distance["frozen"] < 0.7 * distance["redrawn"]


def test_a_generator_lives_for_so_many_batches(trained, make_task):
    made = make_inverter(trained, make_task, g_life=2, g_steps=1)
    sources = [made.batch(False) is None or made.source for _ in range(5)]
    assert sources[0] is sources[1]
    assert sources[1] is not sources[2]
    assert sources[2] is sources[3]
    assert sources[3] is not sources[4]


def test_plain_latents_take_the_place_of_labels_and_noisy_layers(trained, make_task):
    made = make_inverter(trained, make_task, noisy=False)
    assert isinstance(made.source, FromLatents)
    images = made.batch(False)
    assert images.shape == (20, 1, 8, 8)
    before = made.source.z.detach().clone()
    made.source.redraw(rng())
    assert float(made.source.z.detach().std()) == pytest.approx(1.0, abs=0.15)
    assert not torch.allclose(before, made.source.z)


@pytest.mark.parametrize("noisy_layer", [True, False])
def test_runs_within_its_budget_and_leaves_the_teacher_alone(trained, make_task, noisy_layer):
    before = copy.deepcopy(trained.state_dict())
    student = nayer(make_task(trained, steps=5), **SMALL, size=12, kd_steps=2, warmup=1, noisy_layer=noisy_layer)
    assert student.training
    assert all(torch.equal(before[name], value) for name, value in trained.state_dict().items())


def test_more_classes_than_the_embeddings_are_long(make_task, untrained):
    student = nayer(make_task(untrained(4, classes=15), classes=15, steps=2), **SMALL, size=15, kd_steps=2, warmup=0)
    assert student.head.out_features == 15


def test_more_steps_meet_classes_better(trained, make_task):
    classes = torch.arange(10).repeat(2)
    errors = []
    for g_steps in (1, 25):
        z = trained(make_inverter(trained, make_task, g_steps=g_steps).batch(False))
        errors.append(float(nn.functional.cross_entropy(z, classes)))
    assert errors[1] < errors[0] - 0.2
