"""ZSKT: belief matching against its formulas, attention maps, and one noise batch for all updates of a round."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import kl_div

import methods.datafree.zskt as module
from methods.datafree.generator import AffinePixels, Generator, normalizer
from methods.datafree.student import LARGEST_GRADIENT
from methods.datafree.zskt import attention_gap, attention_maps, climb, compared_stages, zskt
from methods.watching import Latest

SMALL = {"nz": 8, "ngf": 4}


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def generator(trained) -> Generator:
    torch.manual_seed(1)
    return Generator(8, 4, (1, 8, 8), AffinePixels(*normalizer(trained)))


def test_a_step_climbs_the_divergence_and_moves_no_student(trained, make_task, generator):
    task = make_task(trained)
    student = task.student.train()
    before = copy.deepcopy(dict(student.named_parameters()))
    z = torch.randn(32, 8, generator=draws())
    optimizer = torch.optim.Adam(generator.parameters(), lr=1e-3)
    losses = [float(climb(task, generator, optimizer, z, student)) for _ in range(6)]
    assert losses[0] <= 0  # minus a divergence
    assert losses[1] < losses[0]
    assert losses[-1] < losses[1]
    assert all(torch.equal(before[name], p) for name, p in student.named_parameters())
    assert all(p.requires_grad for p in student.parameters())


def test_its_loss_is_minus_the_divergence_in_nats(trained, make_task, generator):
    task = make_task(trained)
    student = task.student.eval()
    z = torch.randn(16, 8, generator=draws())
    with torch.no_grad():
        x = copy.deepcopy(generator)(z)
        expected = -kl_div(student(x).log_softmax(1), trained(x).softmax(1), reduction="batchmean")
    got = climb(task, generator, torch.optim.Adam(generator.parameters()), z, student)
    torch.testing.assert_close(got, expected)


def test_gradients_of_the_generator_are_clipped(trained, make_task, generator):
    task = make_task(trained)
    optimizer = torch.optim.SGD(generator.parameters(), lr=0.0)
    z = torch.randn(16, 8, generator=draws())
    climb(task, generator, optimizer, z, task.student, extra=lambda x, _t: 1e6 * x.square().mean())
    norm = torch.cat([p.grad.flatten() for p in generator.parameters()]).norm()
    assert float(norm) == pytest.approx(LARGEST_GRADIENT, rel=1e-3)


def test_a_round_learns_from_one_noise_batch_asked_once(trained, make_task, monkeypatch):
    asked, seen = [], []
    teacher = copy.deepcopy(trained)
    teacher.register_forward_pre_hook(lambda _m, inputs: asked.append(inputs[0]))
    task = make_task(teacher, steps=8)

    class Noted(module.StudentTraining):
        def update(self, loss, x):
            seen.append(x)
            super().update(loss, x)

    zskt_by = Noted(task)
    module.zskt(task, zskt_by, student_steps=4, **SMALL)
    assert len(seen) == 8
    assert all(torch.equal(seen[0], x) for x in seen[:4])
    assert not torch.equal(seen[0], seen[4])
    assert len(asked) == 4  # in each of two rounds: by the generator, and for all updates


def test_the_generators_rate_falls_with_the_budget(trained, make_task, monkeypatch):
    rates = []
    original = module.climb

    def noted(task, generator, optimizer, *rest):
        rates.append(optimizer.param_groups[0]["lr"])
        return original(task, generator, optimizer, *rest)

    monkeypatch.setattr(module, "climb", noted)
    zskt(make_task(trained, steps=4), student_steps=1, lr_g=0.01, **SMALL)
    assert rates == pytest.approx([0.01, 0.01 * (1 + 0.5**0.5) / 2, 0.005, 0.01 * (1 - 0.5**0.5) / 2])


def test_attention_maps_are_of_length_one_and_free_of_channels_and_scale():
    stage = nn.Identity()
    with Latest([stage]) as seen:
        x = torch.randn(3, 5, 4, 4, generator=draws())
        stage(x)
        [maps] = attention_maps(seen)
        stage(7 * x.repeat(1, 2, 1, 1))
        [other] = attention_maps(seen)
    assert maps.shape == (3, 16)
    torch.testing.assert_close(maps.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(maps, other)
    energy = x.square().sum(1).flatten(1)
    torch.testing.assert_close(maps, energy / energy.norm(dim=1, keepdim=True))


def test_the_gap_is_a_mean_square_summed_over_stages():
    a, b = torch.zeros(2, 4), torch.full((2, 4), 0.5)
    assert float(attention_gap([a, a], [b, a])) == 0.25
    assert float(attention_gap([a, a], [b, b])) == 0.5
    assert float(attention_gap([], [])) == 0


def test_networks_are_compared_where_both_have_as_many_stages(trained, untrained):
    mine, its = compared_stages(untrained(4), trained)
    assert len(mine) == len(its) == 3
    plain = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    assert compared_stages(plain, trained) == ([], [])
    assert compared_stages(trained, plain) == ([], [])


def test_attention_transfer_brings_the_maps_together(trained, make_task, digits):
    x = digits.validation.inputs[:64].float() / 255

    def gap(beta: float) -> float:
        student = zskt(make_task(trained, steps=40, batch_size=32), beta=beta, **SMALL).eval()
        mine, its = compared_stages(student, trained)
        with Latest(mine) as ours, Latest(its) as theirs, torch.no_grad():
            student(x)
            trained(x)
            return float(attention_gap(attention_maps(ours), attention_maps(theirs)))

    assert gap(2500.0) < gap(0.0)


def test_attention_weighs_against_the_divergence_as_in_the_authors_code(trained, make_task, monkeypatch):
    """There: PyTorch's mean over images and classes of the divergence, and 250 times the gap of attention."""
    task = make_task(trained, steps=1)
    task.__dict__["temperature"] = 1.0
    caught = []

    class Noted(module.StudentTraining):
        def update(self, loss, x):
            twin = copy.deepcopy(self.model)
            mine, its = compared_stages(twin, trained)
            with Latest(mine) as ours, Latest(its) as theirs, torch.no_grad():
                divergence = kl_div(twin(x).log_softmax(1), trained(x).softmax(1), reduction="none").mean()
                gap = attention_gap(attention_maps(ours), attention_maps(theirs))
            caught.append((float(loss().detach()), float(10 * (divergence + 250 * gap))))
            super().update(loss, x)

    module.zskt(task, Noted(task), student_steps=1, **SMALL)
    [(got, expected)] = caught
    assert got == pytest.approx(expected, rel=1e-4)


def test_hooks_are_gone_afterwards(trained, make_task):
    student = zskt(make_task(trained), **SMALL)
    assert all(not m._forward_hooks for network in (student, trained) for m in network.modules())
