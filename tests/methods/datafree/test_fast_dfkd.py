"""Fast-DFKD: meta-gradients, what they buy, the warm-up and the reset of the first layer."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import methods.datafree.fast_dfkd as module
from bench.task.budget import Budget
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.fast_dfkd import MetaInverter, fast_dfkd, point_towards, reset_first_layer
from methods.datafree.generator import Generator
from methods.datafree.inversion import LONGEST_WARMUP, InversionLoss, alternate
from methods.datafree.student import StudentTraining

SMALL = {"g_steps": 2, "size": 12, "nz": 8, "ngf": 4}
RATES = {"lr_g": 3e-3, "lr_z": 0.01}


class Bowl:
    """A loss whose gradients are easily made again: the distance of images from a grey that classes tell."""

    def __init__(self):
        self.values, self.remembered = [], 0
        self.statistics = self

    def __call__(self, images, classes, *, adversarial):
        value = (images - classes[:, None, None, None] / 10).square().mean()
        self.values.append(float(value.detach()))
        return value

    def remember(self):
        self.remembered += 1


class Watched(InversionLoss):
    """Writes down its values."""

    def __call__(self, *args, **kwargs):
        value = super().__call__(*args, **kwargs)
        self.values = [*getattr(self, "values", []), float(value.detach())]
        return value


def inverter(make_task, teacher, loss, meta: str, **changed) -> MetaInverter:
    return MetaInverter(make_task(teacher), loss, meta=meta, **({"g_steps": 3, "nz": 8, "ngf": 4} | RATES | changed))


def test_the_meta_gradient_is_the_sum_over_inner_steps(trained, make_task, monkeypatch):
    """Replayed by hand: a copy, Adam on it and on the same latents; the sum of its gradients, one large Adam step."""
    torch.manual_seed(0)
    meta = inverter(make_task, trained, Bowl(), "fomaml")
    before = copy.deepcopy(meta.generator)
    drawn, noise = [], module.noise
    monkeypatch.setattr(module, "noise", lambda *given: drawn.append(noise(*given)) or drawn[-1])
    monkeypatch.setattr(module, "random_classes", lambda task, size: torch.arange(size))
    start = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))  # the task's first draw
    meta.batch(6, adversarial=False)
    z, copied = start.clone().requires_grad_(), copy.deepcopy(before)
    groups = [{"params": copied.parameters()}, {"params": [z], "lr": 0.01}]
    adam = torch.optim.Adam(groups, 3e-3, (0.5, 0.999))
    total = [torch.zeros_like(p) for p in copied.parameters()]
    for _ in range(3):
        adam.zero_grad()
        (copied(z) - torch.arange(6)[:, None, None, None] / 10).square().mean().backward()
        for sum_, p in zip(total, copied.parameters(), strict=True):
            sum_ += p.grad
        adam.step()
    torch.testing.assert_close(drawn[0].detach(), z.detach())  # the same latents, moved as far
    for p, sum_ in zip(meta.generator.parameters(), total, strict=True):
        torch.testing.assert_close(p.grad, sum_)
    for p, sum_ in zip(before.parameters(), total, strict=True):
        p.grad = sum_
    torch.optim.Adam(before.parameters(), 3 * 3e-3, (0.5, 0.999)).step()
    for p, q in zip(meta.generator.parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_reptile_points_to_the_adapted_copy():
    a, b = nn.Linear(2, 1), nn.Linear(2, 1)
    point_towards(a, b)
    torch.testing.assert_close(a.weight.grad, 67 * (a.weight - b.weight).detach())


@pytest.mark.parametrize("meta", ["fomaml", "reptile"])
def test_meta_learning_lets_later_batches_begin_lower(trained, make_task, meta):
    """The first step's loss: later than in the first round, and than with a generator of new weights every round."""
    first = {}
    for kind in (meta, "none"):
        torch.manual_seed(0)
        task = make_task(trained)
        with BatchNormStatistics(trained, 0.9) as statistics:
            loss = Watched(task, task.student, statistics, bn=1.0, oh=0.5, adv=0.0)
            learner = MetaInverter(task, loss, meta=kind, g_steps=3, nz=16, ngf=8, **RATES)
            for _ in range(16):
                learner.batch(32, adversarial=False)
        first[kind] = torch.tensor(loss.values[::3])
    assert first[meta][-4:].mean() < first[meta][0]
    assert first[meta][-4:].mean() < first["none"][-4:].mean()


def test_without_meta_learning_the_kept_generator_stands_still(trained, make_task):
    bowl = Bowl()
    meta = inverter(make_task, trained, bowl, "none")
    before = copy.deepcopy(meta.generator.state_dict())
    meta.batch(6, adversarial=False)
    assert all(torch.equal(before[name], value) for name, value in meta.generator.state_dict().items())
    assert bowl.remembered == 1  # once a batch, not once a step


def test_the_best_batch_is_kept(trained, make_task):
    """Enormous steps after the first: what the untouched copy made is the best."""
    bowl = Bowl()
    meta = inverter(make_task, trained, bowl, "fomaml", lr_g=50.0, lr_z=50.0)
    start = copy.deepcopy(meta.generator)
    batch = meta.batch(6, adversarial=False)
    assert min(bowl.values) == bowl.values[0]
    z = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(batch, start(z).detach())


def test_first_layer_starts_anew_and_no_other():
    generator = Generator(200, 8, (1, 8, 8), nn.Sigmoid())
    before = copy.deepcopy(generator.state_dict())
    reset_first_layer(generator)
    assert float(generator.project.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    assert not generator.project.bias.any()
    assert float(generator.norm0.weight.detach().abs().max()) < 0.1
    rest = [name for name in before if not name.startswith(("project", "norm0"))]
    assert rest
    assert all(torch.equal(before[name], generator.state_dict()[name]) for name in rest)


def test_the_reset_happens_once_late_in_the_budget(trained, make_task, monkeypatch):
    task = make_task(trained, steps=10)
    training, resets = StudentTraining(task), []
    monkeypatch.setattr(module, "reset_first_layer", lambda _: resets.append(training.spent))
    fast_dfkd(task, training, **SMALL, kd_steps=1, warmup=2)
    assert resets == [0.6]
    resets.clear()
    task = make_task(trained, steps=10)
    training = StudentTraining(task)
    fast_dfkd(task, training, **SMALL, kd_steps=1, warmup=2, reset_l0=False)
    assert not resets


def test_warmup_fills_the_pool_without_updates_or_an_untaught_students_say(trained, make_task):
    task = make_task(trained, steps=3)
    training, calls = StudentTraining(task), []

    def synthesise(adversarial):
        calls.append((adversarial, training.done, training.model.training))
        return torch.rand(4, 1, 8, 8)

    alternate(task, training, synthesise, kd_steps=2, warmup=2)
    assert calls == [(False, 0, False), (False, 0, False), (True, 0, False), (True, 2, False)]
    assert training.done == 3


def test_a_budget_of_seconds_leaves_most_of_it_to_the_student(trained, make_task, clock):
    """However many batches the warm-up asks for."""
    task = make_task(trained)
    task.__dict__["budget"] = Budget(0, seconds=5)
    training, warm = StudentTraining(task), []
    training.running  # noqa: B018  # the clock starts

    def synthesise(adversarial):
        warm.append(not adversarial)
        clock.passes(0.25)
        return torch.rand(4, 1, 8, 8)

    alternate(task, training, synthesise, kd_steps=2, warmup=10_000)
    assert sum(warm) == LONGEST_WARMUP * 20
    assert len(warm) == 20
    assert training.done > 0


@pytest.mark.parametrize("meta", ["fomaml", "reptile", "none"])
def test_runs_within_its_budget_and_leaves_the_teacher_alone(trained, make_task, meta):
    before = copy.deepcopy(trained.state_dict())
    student = fast_dfkd(make_task(trained, steps=5), **SMALL, kd_steps=2, warmup=1, meta=meta)
    assert student.training
    assert all(torch.equal(before[name], value) for name, value in trained.state_dict().items())
