"""Standardised logits: their mean and deviation, and what no longer matters."""

from __future__ import annotations

import torch

from methods.distillation.logit_standardization import dkd_std, kd_std, standardised
from methods.distillation.training import Batch, Seen

Z = 3 * torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
GOAL = 3 * torch.randn(4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
LABELS = torch.tensor([0, 1, 2, 4])


def test_mean_zero_and_unbiased_deviation_one():
    z = standardised(Z)
    torch.testing.assert_close(z.mean(1), torch.zeros(4, dtype=torch.float64))
    torch.testing.assert_close(z.var(1, correction=1), torch.ones(4, dtype=torch.float64), rtol=1e-6, atol=0)


def test_equal_logits_pass_a_finite_gradient():
    z = torch.zeros(2, 3, requires_grad=True)
    (standardised(z) * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert not z.grad.isnan().any()


def test_both_losses_ignore_scale_and_shift_of_either_network_and_the_labels_do_not(make_pair, monkeypatch):
    losses = []
    monkeypatch.setattr(
        "methods.distillation.logit_standardization.distil_outputs", lambda _task, loss: losses.append(loss)
    )
    for method in (kd_std, dkd_std):
        method(make_pair("resnet8", "vgg", {"outputs", "labels"}))
    for loss in losses:

        def value(student, teacher, hard=0.0, loss=loss):
            return loss(Batch(Seen(student), Seen(teacher), LABELS, LABELS, 0.5, torch.tensor(hard)))

        torch.testing.assert_close(value(2 * Z + 7, 0.1 * GOAL - 3), value(Z, GOAL), rtol=1e-5, atol=1e-9)
        assert float(value(Z, 5 * Z)) < 1e-9 < float(value(Z, GOAL))
        assert value(Z, GOAL, hard=1.0) > value(Z, GOAL)
