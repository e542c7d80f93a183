"""ABD: the vaccine's exact zeros, the implicit gradient against algebra, and the host that it leaves alone."""

from __future__ import annotations

import copy
import math
from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn.functional import kl_div

from bench import Skip, registry
from methods.datafree import references, retrospection, vaccine
from methods.datafree.abd import Host, abd, abd_proxy, vaccinated
from methods.datafree.student import StudentTraining
from methods.distillation.losses import distillation_kl

HOSTS = get_args(Host)


def plain(host: str, task) -> nn.Module:
    """The host by itself, at the size that `SMALL` gives it."""
    registry.discover()
    sizes = ("batches", "size", "iterations") if host in ("adi", "deepinversion") else ("ngf",)
    return registry.METHODS.get(host).function(task, **{name: SMALL[name] for name in sizes})


SMALL = {"ngf": 2, "batches": 1, "size": 16, "iterations": 3}


def equal(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def images(n: int = 32) -> torch.Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(0))


# ------------------------------------------------------------------------------------------------- shuffling vaccine
@pytest.mark.parametrize("copies", [1, 3])
def test_unshuffled_copies_are_the_teacher_and_nothing_is_gained(trained, make_task, monkeypatch, copies):
    monkeypatch.setattr(vaccine, "shuffle", lambda network, layers, rng: None)
    healthy = vaccine.Vaccine(make_task(trained), copies=copies, layers=3, check=0)
    x = images()
    t = trained(x)
    assert torch.equal(healthy.logits(x), t)
    assert float(healthy.term(x, t)) == 0


def test_input_channels_of_the_last_convolutions_are_permuted(trained):
    network = copy.deepcopy(trained)
    vaccine.shuffle(network, 3, torch.Generator().manual_seed(0))
    convolutions = [m for m in trained.modules() if isinstance(m, nn.Conv2d)]
    shuffled = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    for old, new in zip(convolutions[:-3], shuffled[:-3], strict=True):
        assert torch.equal(old.weight, new.weight)
    orders = []
    for old, new in zip(convolutions[-3:], shuffled[-3:], strict=True):
        same = (old.weight[:, :, None] == new.weight[:, None]).flatten(3).all(3).all(0)  # [old channel, new channel]
        assert torch.equal(same.sum(0), torch.ones(same.shape[1], dtype=torch.long))
        assert not same.diagonal().all()
        orders.append(same)
    assert not torch.equal(orders[1], orders[0])


def test_the_term_is_the_mean_over_what_is_still_agreed_on(trained, make_task):
    sick = vaccine.Vaccine(make_task(trained), copies=2, layers=1, check=0)
    x = images()
    t = trained(x)
    z = torch.stack([shuffled(x) for shuffled in sick._copies]).mean(0)
    agreed = z.argmax(1) == t.argmax(1)
    assert 0 < int(agreed.sum()) < len(x)
    kl = kl_div(z.log_softmax(1), t.softmax(1), reduction="none").mean(1)
    assert float(sick.term(x, t)) == pytest.approx(-float(kl[agreed].mean()), rel=1e-4)


def test_nothing_agreed_on_is_no_term():
    assert float(vaccine.mean_where(torch.zeros(4, dtype=torch.bool), torch.ones(4))) == 0


def test_down_the_term_the_suspected_images_part_from_the_shuffled_teacher(trained, make_task):
    task = make_task(trained)
    sick = vaccine.Vaccine(task, copies=2, layers=1, check=0)
    x = images().requires_grad_()
    before = sick.term(x, task.teacher(x))
    (slope,) = torch.autograd.grad(before, x)
    with torch.no_grad():
        after = x - 1e-2 * slope / slope.norm()
        mask = vaccine.suspected(sick.logits(x), task.teacher(x))
        parted = vaccine.mean_where(mask, vaccine.divergence(sick.logits(after), task.teacher(after)))
    assert float(parted) > -float(before.detach())


def test_the_tail_is_counted_below_three_deviations():
    values = torch.cat([torch.full((95,), 1.0), torch.full((5,), 1e-8)])
    assert float(vaccine.tail(values)) == pytest.approx(0.05)
    assert float(vaccine.tail(torch.linspace(0.5, 2, 100))) == 0


@pytest.mark.parametrize(("share", "acts"), [(0.0, False), (0.05, True)])
def test_the_check_decides_whether_the_vaccine_acts(trained, make_task, monkeypatch, share, acts):
    shufflings = []
    monkeypatch.setattr(vaccine, "shuffle", lambda network, layers, rng: shufflings.append(network))
    monkeypatch.setattr(vaccine, "tail", lambda values: torch.tensor(share))
    checked = vaccine.Vaccine(make_task(trained), copies=2, layers=3, check=3)
    x = images()
    t = trained(x)
    assert [checked.ready(x, t) for _ in range(2)] == [False, False]
    assert checked.ready(x, t) is acts
    assert checked.ready(x, t) is acts
    assert len(shufflings) == 2 * (1 if acts else vaccine.TRIALS)


def test_a_teacher_without_convolutions_is_a_reason_to_skip():
    with pytest.raises(Skip, match="shuffles convolutions, and Linear has none"):
        vaccine.shuffle(nn.Linear(2, 2), 1, torch.Generator())


# ----------------------------------------------------------------------------------------------- self-retrospection
def quadratic(theta: torch.Tensor):
    """Inner 1/2 d.A d - d.B theta, whose minimum is d* = A^-1 B theta; outer 1/2 |d - theta|^2 + 1/2 |theta|^2."""
    rng = torch.Generator().manual_seed(1)
    m = torch.randn(4, 4, generator=rng, dtype=torch.float64)
    a = m @ m.T + torch.eye(4, dtype=torch.float64)
    b = torch.randn(4, 4, generator=rng, dtype=torch.float64)
    inner = lambda d: d @ a @ d / 2 - d @ b @ theta  # noqa: E731
    outer = lambda d: (d - theta).square().sum() / 2 + theta.square().sum() / 2  # noqa: E731
    return a, b, inner, outer


def test_the_implicit_gradient_is_that_of_the_solution():
    theta = torch.arange(1.0, 5.0, dtype=torch.float64, requires_grad=True)
    a, b, inner, outer = quadratic(theta)
    solution = torch.linalg.solve(a, b)
    d = (solution @ theta).detach()
    value = retrospection.implicit(outer, inner, d, step=float(1 / torch.linalg.eigvalsh(a)[-1]), iterations=2000)
    (found,) = torch.autograd.grad(value, theta)
    exact = (solution - torch.eye(4)).T @ (solution - torch.eye(4)) @ theta + theta
    assert torch.allclose(found, exact, rtol=1e-8)
    assert float(value.detach()) == pytest.approx(float(outer(d).detach()))


@pytest.mark.parametrize("iterations", [1, 5])
def test_the_fixed_point_is_cut_off_where_it_is_said(iterations):
    """After k rounds from 0, v is the sum of the first k powers of the map's Jacobian, applied to the pull."""
    theta = torch.arange(1.0, 5.0, dtype=torch.float64, requires_grad=True)
    a, b, inner, outer = quadratic(theta)
    d = torch.ones(4, dtype=torch.float64)
    jacobian = torch.eye(4) - 0.1 * a
    pull = d - theta.detach()
    v = sum(torch.linalg.matrix_power(jacobian, k) @ pull for k in range(iterations))
    exact = theta.detach() - d + theta.detach() + 0.1 * b.T @ v
    (found,) = torch.autograd.grad(retrospection.implicit(outer, inner, d, step=0.1, iterations=iterations), theta)
    assert torch.allclose(found, exact)


def test_the_surrogate_agrees_with_finite_differences_through_a_network():
    """With as many rounds as the search for d has steps, the gradient is that of unrolled descent near its end."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4)).double()
    weight = network[0].weight
    x = torch.randn(6, 3, dtype=torch.float64)

    clean = network(x).detach()  # a constant of both losses, so that it must not move with the weight either
    other = clean + torch.randn(6, 4, dtype=torch.float64)

    def inner(d):
        return 2 * d.square().sum() - distillation_kl(network(x + d), other, 2.0)

    def outer(d):
        return distillation_kl(network(x + d), clean / 2, 2.0)

    def solve() -> torch.Tensor:
        d = torch.full((1, 3), 0.3, dtype=torch.float64, requires_grad=True)
        for _ in range(400):
            d = (d - 0.1 * torch.autograd.grad(inner(d), d)[0]).detach().requires_grad_()
        return d.detach()

    value = retrospection.implicit(outer, inner, solve(), step=0.1, iterations=400)
    (found,) = torch.autograd.grad(value, weight)
    numeric = []
    for sign in (1, -1):
        with torch.no_grad():
            weight[0, 0] += sign * 1e-4
        numeric.append(float(outer(solve()).detach()))
        with torch.no_grad():
            weight[0, 0] -= sign * 1e-4
    assert float(found[0, 0]) == pytest.approx((numeric[0] - numeric[1]) / 2e-4, rel=1e-5)


def test_the_search_finds_what_moves_the_teacher(trained, make_task):
    task = make_task(trained)
    x, std = images(), torch.full((1, 1, 1), 0.37)
    t = trained(x)

    def moved(steps: int) -> float:
        return float(distillation_kl(trained(x + retrospection.perturbation(task, x, steps, std) * std), t, 4.0))

    assert moved(10) > 20 * moved(0) > 0


def test_retrospection_leaves_the_running_statistics(trained, make_task):
    task = make_task(trained)
    student = task.student.train()
    before = {name: b.clone() for name, b in student.named_buffers()}
    retrospection.retrospection(task, student, images(16), portion=0.1, steps=2).backward()
    assert all(torch.equal(before[name], b) for name, b in student.named_buffers())
    assert any(float(p.grad.abs().sum()) > 0 for p in student.parameters())


def staged(task, updates: int, **options) -> retrospection.RetrospectiveTraining:
    options = {"weight": 1.0, "rate": 0.02, "portion": 0.1, "steps": 2} | options
    return retrospection.RetrospectiveTraining(task, updates=updates, **options)


def test_the_stage_is_the_last_updates_at_a_rate_of_its_own(trained, make_task):
    training, x = staged(make_task(trained, steps=8), 3), images(16)
    rates, momenta = [], []
    training._optimizer.register_step_pre_hook(lambda optimizer, *_: momenta.append(len(optimizer.state)))
    while training.running:
        training.imitate(x)
        rates.append(training._optimizer.param_groups[0]["lr"])
    assert rates[5:] == [0.02] * 3
    assert rates[:5] == pytest.approx([0.05 * (1 + math.cos(math.pi * done / 8)) for done in range(5)])
    assert [held == 0 for held in momenta] == [True, *[False] * 4, True, *[False] * 2]  # it begins from rest


def test_in_the_stage_the_gradients_of_host_and_retrospection_add_up(trained, make_task):
    """One update from rest: by the host's loss alone and with retrospection, whose gradient is computed apart."""
    x = images(16)
    moved = []
    for weight in (1e-12, 1.0):
        task = make_task(trained, steps=1)
        task.__dict__["weight_decay"] = 0.0
        training = staged(task, 1, weight=weight)
        before = {name: p.detach().clone() for name, p in training.model.named_parameters()}
        training.update(lambda t=training: t.model(x).square().mean(), x)
        moved.append({name: (before[name] - p.detach()) / 0.02 for name, p in training.model.named_parameters()})
    task = make_task(trained, steps=1)
    student = task.student.train()
    student(x)  # the host's loss has seen the images first
    retrospection.retrospection(task, student, x, portion=0.1, steps=2).backward()
    for name, p in student.named_parameters():
        torch.testing.assert_close(moved[1][name] - moved[0][name], p.grad, rtol=0, atol=1e-4, msg=name)


def test_a_stage_longer_than_the_budget_is_all_of_it_and_none_is_none(trained, make_task):
    assert staged(make_task(trained, steps=4), 9).retrospecting
    assert not staged(make_task(trained, steps=4), 0).retrospecting
    assert not staged(make_task(trained, steps=4), 9, weight=0.0).retrospecting


# ---------------------------------------------------------------------------------------------------------- the hosts
@pytest.mark.parametrize("host", HOSTS)
def test_with_both_parts_off_it_is_the_host(trained, make_task, host):
    assert equal(
        plain(host, make_task(trained, steps=6)),
        abd(make_task(trained, steps=6), host=host, c=0, retrospect=0, **SMALL),
    )


def proxy_task(make_task, trained):
    task = make_task(trained, steps=6, access=("weights", "proxy"))
    task.__dict__["proxy"] = (images(40) * 255).byte()
    return task


def test_with_both_parts_off_it_is_distillation_on_proxy_images(trained, make_task):
    plain = references.kd_proxy(proxy_task(make_task, trained))
    assert equal(plain, abd_proxy(proxy_task(make_task, trained), c=0, retrospect=0))


@pytest.mark.parametrize("part", [{"c": 0.0}, {"retrospect": 0.0}])
@pytest.mark.parametrize("host", HOSTS)
def test_each_part_changes_the_student(trained, make_task, host, part):
    off = {"c": 0.1, "retrospect": 1.0, "stage": 3, "steps": 2, "layers": 1, "check": 0} | part
    alone = plain(host, make_task(trained, steps=11))
    assert not equal(alone, abd(make_task(trained, steps=11), host=host, **off, **SMALL))


@pytest.mark.parametrize("part", [{"c": 0.0}, {"retrospect": 0.0}])
def test_each_part_changes_the_student_of_proxy_images(trained, make_task, part):
    off = {"c": 0.1, "retrospect": 1.0, "stage": 3, "steps": 2, "layers": 1, "check": 0} | part
    assert not equal(
        references.kd_proxy(proxy_task(make_task, trained)), abd_proxy(proxy_task(make_task, trained), **off)
    )


def test_the_teacher_is_left_as_it_was(trained, make_task):
    teacher = copy.deepcopy(trained)
    abd(make_task(teacher, steps=6), stage=2, steps=2, **SMALL)
    assert equal(trained, teacher)


def test_the_loss_with_suspects_subtracts_theirs():
    rng = torch.Generator().manual_seed(0)
    z, t = torch.randn(6, 4, generator=rng), torch.randn(6, 4, generator=rng)
    mask = torch.tensor([True, False, False, True, False, False])
    clean, bad = distillation_kl(z[~mask], t[~mask], 4.0), distillation_kl(z[mask], t[mask], 4.0)
    assert float(vaccinated(z, t, mask, 0.3, 4.0)) == pytest.approx(float(clean - 0.3 * bad), rel=1e-5)
    nobody = torch.zeros(6, dtype=torch.bool)
    assert float(vaccinated(z, t, nobody, 0.3, 4.0)) == pytest.approx(float(distillation_kl(z, t, 4.0)), rel=1e-5)
    assert bool(torch.isfinite(vaccinated(z, t, ~nobody, 0.3, 4.0)))


def test_updates_are_the_boards(trained, make_task):
    training = []
    task = make_task(trained, steps=7)
    task.__dict__["progress"] = lambda done, total: training.append(done)
    abd(task, stage=3, steps=2, **SMALL)
    assert len(training) == 7
    assert StudentTraining(task).done == 0
