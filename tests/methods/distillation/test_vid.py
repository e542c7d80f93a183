"""Variational information: the Gaussian's likelihood, and the variance that it learns."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from methods.distillation.vid import LEAST_VARIANCE, Gaussian


def test_it_is_the_negative_log_likelihood_less_a_constant():
    torch.manual_seed(0)
    guess = Gaussian(2, 3, 5.0)
    with torch.no_grad():
        guess.scale += torch.tensor([0.0, 1.0, -2.0])
    student, teacher = torch.randn(4, 2, 3, 3), torch.randn(4, 3, 3, 3)
    variance = (nn.functional.softplus(guess.scale) + LEAST_VARIANCE).view(1, 3, 1, 1)
    likelihood = torch.distributions.Normal(guess.mean(student), variance.sqrt()).log_prob(teacher)
    expected = -likelihood.mean() - math.log(2 * math.pi) / 2
    torch.testing.assert_close(guess(student, teacher), expected)


def test_the_variance_starts_where_it_is_told_to():
    for variance in (5.0, 0.3):
        start = nn.functional.softplus(Gaussian(2, 3, variance).scale) + LEAST_VARIANCE
        assert start.tolist() == pytest.approx([variance] * 3, rel=1e-5)


def test_at_the_optimum_the_variance_is_the_mean_squared_residual_of_its_channel():
    torch.manual_seed(0)
    guess = Gaussian(1, 2, 1.0)
    student = torch.randn(50, 1, 2, 2)
    teacher = torch.randn(50, 2, 2, 2) * torch.tensor([0.5, 2.0]).view(1, 2, 1, 1)
    optimizer = torch.optim.LBFGS([guess.scale], max_iter=100)

    def closure():
        optimizer.zero_grad()
        loss = guess(student, teacher)
        loss.backward()
        return loss

    optimizer.step(closure)
    residual = (guess.mean(student) - teacher).square().mean((0, 2, 3))
    torch.testing.assert_close(nn.functional.softplus(guess.scale) + LEAST_VARIANCE, residual, rtol=1e-3, atol=0)


def test_maps_of_unequal_size_are_compared_at_the_smaller():
    guess = Gaussian(1, 2, 1.0)
    assert torch.isfinite(guess(torch.zeros(1, 1, 4, 4), torch.zeros(1, 2, 2, 2)))
    assert torch.isfinite(guess(torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 4, 4)))
