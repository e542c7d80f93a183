"""Normalised distillation by its sums, and beside decoupled distillation."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from methods.distillation.dkd import decoupled
from methods.distillation.losses import others
from methods.distillation.nkd import normalised

LABELS = torch.tensor([1, 0, 3])


def logits(seed: int) -> Tensor:
    return 2 * torch.randn(3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_is_the_textbooks():
    student, teacher, t = logits(0), logits(1), 3.0
    target = rest = 0.0
    for zs, zt, y in zip(student.tolist(), teacher.tolist(), LABELS.tolist(), strict=True):
        ps, pt = (math.exp(z[y]) / sum(map(math.exp, z)) for z in (zs, zt))
        target -= pt * math.log(ps) / 3
        qs, qt = ([math.exp(z[c] / t) for c in range(4) if c != y] for z in (zs, zt))
        rest -= t**2 * sum(b / sum(qt) * math.log(a / sum(qs)) for a, b in zip(qs, qt, strict=True)) / 3
    assert [float(x) for x in normalised(student, teacher, LABELS, t)] == pytest.approx([target, rest], rel=1e-12)


def test_a_constant_added_to_the_logits_changes_nothing():
    shift = torch.tensor([[5.0], [-3.0], [100.0]], dtype=torch.float64)
    one, other = (normalised(logits(0) + s, logits(1) - s, LABELS, 2.0) for s in (0 * shift, shift))
    torch.testing.assert_close(torch.stack(one), torch.stack(other))


def test_less_the_teachers_entropy_the_other_classes_term_is_that_of_dkd():
    t = 3.0
    q = (others(logits(1), LABELS) / t).softmax(1)
    entropy = -(q * q.log()).sum(1).mean()
    rest = normalised(logits(0), logits(1), LABELS, t)[1] - t**2 * entropy
    assert float(rest) == pytest.approx(float(decoupled(logits(0), logits(1), LABELS, t)[1]), rel=1e-10)
