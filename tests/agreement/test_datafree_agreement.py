"""Losses of data-free distillation beside the numbers that the authors' code gave, on the same tiny inputs.

The code was run apart from this project, as it stands. Repositories and commits:

- zju-vipa/CMI 9e79fa9: criterions.py, hooks.py; the two lines of CMI's contrastive loss and the one of its adversarial
  loss, which stand inside its synthesis loop, were copied out of it. Fast-Datafree 0dcecbc has the same.
- NVlabs/DeepInversion 2413af1, cifar10/deepinversion_cifar10.py: five lines of its loop
- polo5/ZeroShotKnowledgeTransfer e24915d, solver.py
- illidanlab/ABD 19c89bf, cmi/utils/hypergrad.py and cmi/datafree/synthesis/syn_vaccine.py
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.contrast import instance_discrimination
from methods.datafree.losses import class_balance, decision_adversarial, one_hot, total_variation
from methods.datafree.retrospection import implicit
from methods.datafree.vaccine import divergence, mean_where, suspected
from methods.datafree.zskt import attention_gap, attention_maps
from methods.distillation.losses import distillation_kl


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours.detach().flatten().double(), theirs, rtol=1e-7, atol=1e-8)


@pytest.fixture
def logits(wave) -> tuple[Tensor, Tensor]:
    """The student's (or a shuffled teacher's) and the teacher's, [8, 4] each."""
    return 3 * wave(500, 8, 4), 3 * wave(501, 8, 4)


def test_confidence_and_balance(given, logits):
    """DAFL's, DFQ's and CMI's. DAFL's first code takes logarithms of base 10: 1 / ln 10 of it."""
    close(one_hot(logits[1]), given("datafree/one_hot"))
    close(class_balance(logits[1]), given("datafree/balance"))
    close(class_balance(logits[1], base=10) * math.log(10), given("datafree/balance"))


def test_distillation(given, logits):
    close(distillation_kl(*logits, 4.0), given("datafree/kldiv_4"))


def test_decision_adversarial(given, logits):
    """CMI's and Fast-DFKD's; of the eight samples both networks agree on one."""
    assert int((logits[0].argmax(1) == logits[1].argmax(1)).sum()) == int(given("datafree/agree")) == 1
    close(decision_adversarial(*logits), given("datafree/adversarial"))


def test_batchnorm_statistics(wave, given):
    """R_bn of DeepInversion, CMI, Fast-DFKD and DFQ."""
    layer = nn.BatchNorm2d(3).double().eval()
    assert layer.running_mean is not None
    assert layer.running_var is not None
    layer.running_mean.copy_(wave(502, 3))
    layer.running_var.copy_(1 + wave(503, 3).square())
    with BatchNormStatistics(layer) as statistics:
        layer(wave(504, 5, 3, 4, 4))
        # ours computes the statistics in float32
        torch.testing.assert_close(
            statistics.distance().detach().view(1).double(), given("datafree/r_bn"), rtol=1e-5, atol=0
        )


def test_total_variation(wave, given):
    close(total_variation(wave(505, 3, 2, 6, 6)), given("datafree/tv"))


def test_contrast(wave, given):
    """Four new images and two remembered ones, temperature 0.1."""
    queries, keys = normalize(wave(506, 6, 5)), normalize(wave(507, 6, 5))
    close(instance_discrimination(queries, keys, 0.1, new=4), given("datafree/contrast"))


def test_zskt(wave, given, logits):
    """Theirs averages over classes too: with four of them ours is four times theirs, attention included."""

    class Seen:
        def __init__(self, network: int) -> None:
            self.latest = {j: wave(510 + 10 * network + j, 8, c, 4, 4) for j, c in enumerate((2, 3))}

    mine, its = (attention_maps(Seen(network)) for network in range(2))  # type: ignore[arg-type]
    ours = distillation_kl(*logits, 1.0) + 250.0 * 4 * attention_gap(mine, its)
    torch.testing.assert_close(ours.view(1).double() / 4, given("datafree/zskt"), rtol=1e-5, atol=0)  # maps in float32
    close(-distillation_kl(*logits, 1.0) / 4, given("datafree/zskt_generator"))


def test_abds_hypergradient(wave, given):
    """Five rounds of the fixed point, step 0.1, on a quadratic inner and a quartic outer loss."""
    theta, d = wave(520, 4).requires_grad_(), wave(523, 4)
    a, b = wave(521, 4, 4), wave(522, 4, 4)
    a = a @ a.T + torch.eye(4, dtype=torch.float64)

    def inner(x: Tensor) -> Tensor:
        return x @ a @ x / 2 - x @ b @ theta

    def outer(x: Tensor) -> Tensor:
        return (x - theta).square().sum() / 2 + (theta**4).sum()

    (gradient,) = torch.autograd.grad(implicit(outer, inner, d, step=0.1, iterations=5), theta)
    close(gradient, given("datafree/hypergradient"))


def test_abds_vaccine(given, logits):
    """Of weight 0.1, a shuffled teacher giving the first logits."""
    z, t = logits
    close(-0.1 * mean_where(suspected(z, t), divergence(z, t)), given("datafree/vaccine"))
