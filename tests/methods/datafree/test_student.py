"""The student's side of every data-free method: budget, schedule, further terms, and what the harness is told."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from bench.task.monitor import Observations
from methods.datafree.student import LARGEST_GRADIENT, StudentTraining, distill, still


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_budget_is_kept_to_the_step_and_the_rate_ends_at_zero(trained, make_task, digits):
    told = []
    task = make_task(trained, steps=4)
    task.__dict__["progress"] = lambda done, total: told.append((done, total))
    training = StudentTraining(task)
    rates = []
    training._optimizer.register_step_pre_hook(lambda o, *_: rates.append(o.param_groups[0]["lr"]))
    distill(training, digits.train.inputs, task)
    assert told == [(250, 1000), (500, 1000), (750, 1000), (1000, 1000)]
    assert not training.running
    assert training.spent == 1
    assert rates == pytest.approx([0.1 * (1 + math.cos(math.pi * i / 4)) / 2 for i in range(4)])


def test_a_number_of_updates_is_a_bound_and_so_is_the_budget(trained, make_task, digits):
    task = make_task(trained, steps=5)
    training = StudentTraining(task)
    distill(training, digits.train.inputs, task, 3)
    assert training.done == 3
    assert list(training.up_to(1)) == [0]
    for _ in training.up_to(9):
        training.imitate(torch.rand(4, 1, 8, 8))
    assert training.done == 5
    assert list(training.up_to(1)) == []
    distill(training, digits.train.inputs, task, 3)
    assert training.done == 5


def weights_of(student: nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in student.parameters()]


def test_an_update_is_momentum_sgd_with_clipped_gradients(trained, make_task):
    student = nn.Linear(1, 1, bias=False)
    start = student.weight.detach().clone()
    training = StudentTraining(make_task(trained, student, steps=1000))
    training.update(lambda: 1e4 * student.weight.sum(), torch.zeros(1, 1))
    task = training._task
    expected = start - task.lr * (LARGEST_GRADIENT + task.weight_decay * start)
    torch.testing.assert_close(student.weight.detach(), expected, rtol=1e-4, atol=1e-6)


def test_what_is_trained_beside_the_student_takes_the_same_steps(trained, make_task):
    """One gradient norm for both, one learning rate, and the student is settled before the harness looks."""
    student, beside = nn.Linear(1, 1, bias=False), nn.Parameter(torch.ones(1, 1))
    with torch.no_grad():
        student.weight.fill_(1.0)
    seen = []

    def settle(model: nn.Module) -> None:
        seen.append(("settled", float(beside.detach())))

    task = make_task(trained, student, steps=1)
    task.__dict__["monitor"] = Observations(lambda _: seen.append(("judged", float(beside.detach()))) or 0.0).monitor()
    training = StudentTraining(task, also=[beside], settle=settle)
    training.update(lambda: 1e4 * (student.weight.sum() + beside.sum()), torch.zeros(1, 1, 1, 1))
    torch.testing.assert_close(student.weight.detach(), beside.detach())
    moved = LARGEST_GRADIENT / math.sqrt(2) + task.weight_decay
    assert float(beside.detach()) == pytest.approx(1 - task.lr * moved, rel=1e-4)
    assert [what for what, _ in seen] == ["settled", "judged"]
    assert seen[0][1] == seen[1][1] == float(beside.detach())


def test_a_further_term_of_the_update_gets_student_images_and_share(trained, make_task):
    given = []

    def extra(model: nn.Module, x: torch.Tensor, spent: float) -> torch.Tensor | None:
        given.append((model, x, spent))
        return None if len(given) == 1 else 3 * model.weight.sum()

    student = nn.Linear(1, 1, bias=False)
    task = make_task(trained, student, steps=4)
    task.__dict__["weight_decay"] = 0.0
    training, x = StudentTraining(task, extra), torch.zeros(1, 1, 1, 1)
    start = student.weight.detach().clone()
    training.update(lambda: 0 * student.weight.sum(), x)
    torch.testing.assert_close(student.weight.detach(), start)
    training.update(lambda: 0 * student.weight.sum(), x)
    rate = 0.1 * (1 + math.cos(math.pi / 4)) / 2
    torch.testing.assert_close(student.weight.detach(), start - 3 * rate)
    assert [(m is student, y is x, share) for m, y, share in given] == [(True, True, 0.0), (True, True, 0.25)]


def test_imitation_takes_known_logits_or_asks(trained, make_task):
    asked = []
    teacher = copy.deepcopy(trained)
    teacher.register_forward_hook(lambda *_: asked.append(1))
    runs = []
    x = torch.rand(8, 1, 8, 8, generator=rng())
    for t in (None, trained(x)):
        training = StudentTraining(make_task(teacher))
        training.imitate(x, t)
        runs.append(weights_of(training.model))
    assert len(asked) == 1
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_still_networks_pass_gradients_on_and_learn_nothing():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    network[0].bias.requires_grad_(False)
    x = torch.ones(1, 2, requires_grad=True)
    with pytest.raises(ZeroDivisionError), still(network):
        network(x).sum().backward()
        assert x.grad.abs().sum() > 0
        assert all(p.grad is None for p in network.parameters())
        raise ZeroDivisionError
    assert [p.requires_grad for p in network.parameters()] == [True, False, True, True]  # as it was


def test_the_harness_is_told_evenly_and_at_the_end(trained, make_task):
    looked = []
    task = make_task(trained, steps=50)
    task.__dict__["monitor"] = (seen := Observations(lambda _: looked.append(1) or 0.5)).monitor()
    training = StudentTraining(task)
    x = torch.rand(4, 1, 8, 8)
    while training.running:
        training.imitate(x)
    assert [share for share, _ in seen.accuracy] == pytest.approx([math.ceil(2.5 * i) / 50 for i in range(1, 21)])
    assert seen.costs({"seconds": 1.0})["distillation_seconds"] > 0
    assert torch.equal(seen.images, x.mul(255).round().byte())
