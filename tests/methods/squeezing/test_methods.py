"""Weight squeezing, its gated form and their controls, on digits."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils import parametrize

from bench.schema.recipe import Recipe
from methods.squeezing.gated_weight_squeezing import gated_weight_squeezing
from methods.squeezing.references import finetune_small, subnetwork
from methods.squeezing.weight_squeezing import weight_squeezing

ALL = [weight_squeezing, gated_weight_squeezing, finetune_small, subnetwork]
ONE_EPOCH = Recipe(epochs=1, batch_size=32, peak_lr=0.05, weight_decay=0.0, augment="none")


def state(model: torch.nn.Module) -> list[torch.Tensor]:
    return [t.double() for t in model.state_dict().values()]


@pytest.mark.parametrize("method", ALL)
def test_a_plain_small_network_comes_back_that_has_learnt(make_task, accuracy, method):
    task = make_task()
    shapes = [p.shape for p in task.small.parameters()]
    model = method(task)
    assert [p.shape for p in model.parameters()] == shapes
    assert not any(parametrize.is_parametrized(m) for m in model.modules())
    assert accuracy(model) > 75


@pytest.mark.parametrize("options", [{"init": "gaussian"}, {"kd_weight": 0.9}, {"per": "entry"}])
def test_options_change_the_result(make_task, options):
    method = gated_weight_squeezing
    default, other = (state(method(make_task(recipe=ONE_EPOCH), **o)) for o in ({}, options))
    assert any(not torch.equal(a, b) for a, b in zip(default, other, strict=True))


def test_a_closed_gate_is_fine_tuning_and_an_open_one_is_squeezing(make_task):
    task = make_task(recipe=ONE_EPOCH)
    closed = gated_weight_squeezing(task, gate=-1e4)
    for a, b in zip(state(closed), state(finetune_small(make_task(recipe=ONE_EPOCH))), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
    task = make_task(recipe=ONE_EPOCH)
    task.student.load_state_dict(task.small.state_dict())  # norms start alike
    squeezed = weight_squeezing(task, init="gaussian")
    opened = gated_weight_squeezing(make_task(recipe=ONE_EPOCH), gate=1e4, init="gaussian")
    for a, b in zip(state(opened), state(squeezed), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_the_teacher_is_asked_only_where_it_weighs(make_task):
    task = make_task(recipe=ONE_EPOCH)
    seen = []
    task.teacher.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    weight_squeezing(task)
    assert not seen
    again = make_task(recipe=ONE_EPOCH)
    again.teacher.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    weight_squeezing(again, kd_weight=0.5)
    assert sum(seen) == len(again.inputs) // 32 * 32


def test_the_teacher_is_left_alone(make_task):
    task = make_task(recipe=ONE_EPOCH)
    before = state(task.teacher)
    gated_weight_squeezing(task)
    assert all(torch.equal(a, b) for a, b in zip(before, state(task.teacher), strict=True))
