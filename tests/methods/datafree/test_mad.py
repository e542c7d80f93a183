"""MAD: the average of the generator, its special case, and how a batch is divided."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import l1_loss

import methods.datafree.mad as module
from bench import Skip
from methods.datafree.adv_bn import synthesis_loss
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.mad import follow, mad
from methods.datafree.online import Online
from methods.datafree.student import StudentTraining, targets

SMALL = {"nz": 8, "ngf": 4}


def test_the_average_is_the_geometric_series():
    average, generator = nn.Linear(2, 2), nn.Linear(2, 2)
    start = average.weight.detach().clone()
    trail = []
    for step in range(1, 4):
        with torch.no_grad():
            generator.weight.fill_(float(step))
        follow(average, generator, 0.5)
        trail.append(float(step))
    torch.testing.assert_close(average.weight, start / 8 + (trail[0] / 8 + trail[1] / 4 + trail[2] / 2))
    assert generator.weight.eq(3).all()


def test_without_inertia_it_is_its_host_with_the_batch_made_in_two_halves(trained, make_task):
    got = mad(make_task(trained, steps=7), alpha=0.0, student_steps=2, **SMALL)

    task = make_task(trained, steps=7)
    training = StudentTraining(task)
    with BatchNormStatistics(task.teacher) as statistics:
        online = Online(task, synthesis_loss(statistics, 1.0), lr_g=1e-3, **SMALL)

        while training.running:
            for _ in training.up_to(2):
                older = online.images(8)
                x = torch.cat([online.images(8), older])
                training.update(lambda x=x: l1_loss(training.model(x), targets(task, x)), x)
            if training.running:
                online.learn(training.model)
    for name, value in training.model.state_dict().items():
        torch.testing.assert_close(got.state_dict()[name], value, rtol=1e-3, atol=1e-5, msg=name)


def test_at_full_inertia_the_average_stays_where_the_generator_began(trained, make_task, monkeypatch):
    seen = []

    def noted(average, generator, alpha):
        follow(average, generator, alpha)
        seen.append(([p.clone() for p in average.parameters()], [p.detach().clone() for p in generator.parameters()]))

    monkeypatch.setattr(module, "follow", noted)
    mad(make_task(trained, steps=4), alpha=1.0, student_steps=1, **SMALL)
    assert len(seen) == 3
    assert all(torch.equal(a, b) for a, b in zip(seen[0][0], seen[-1][0], strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(*seen[-1], strict=True))


@pytest.mark.parametrize(("batch_size", "new", "older"), [(16, 8, 8), (5, 3, 2)])
def test_the_boards_batch_is_divided_between_both(trained, make_task, monkeypatch, batch_size, new, older):
    """Each generator's images count with their own weight, and the teacher is asked for a batch of the board's size."""
    asked, losses = [], []
    teacher = copy.deepcopy(trained)
    teacher.register_forward_hook(lambda _m, inputs, t: asked.append((len(inputs[0]), t)))

    class Noted(module.StudentTraining):
        def update(self, loss, x):
            twin = copy.deepcopy(self.model)
            gaps = (twin(x) - teacher(x)).abs()
            expected = 0.25 * gaps[:new].mean() + 2.0 * gaps[new:].mean()
            losses.append((loss().detach(), expected.detach()))
            assert len(gaps[new:]) == older
            super().update(loss, x)

    task = make_task(teacher, steps=1, batch_size=batch_size)
    module.mad(task, Noted(task), l0=0.25, l1=2.0, **SMALL)
    assert {count for count, _ in asked} == {batch_size}
    [(got, expected)] = losses
    torch.testing.assert_close(got, expected)


def test_reasons_to_skip(trained, make_task, untrained):
    with pytest.raises(Skip, match="batch_size is 1"):
        mad(make_task(trained, batch_size=1))
    with pytest.raises(Skip, match="BatchNorm statistics"):
        mad(make_task(untrained(4, norm="layer")))
