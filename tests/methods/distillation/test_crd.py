"""Contrastive distillation: negatives, banks and the loss, each by its definition."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from methods.distillation.crd import Bank, crd, draw_negatives, nce
from methods.distillation.training import distil_features


def test_the_loss_is_the_textbooks():
    """One positive and K negatives under noise 1/N: -log P/(P + K/N) - sum of log (K/N)/(P + K/N)."""
    scores = torch.tensor([[0.3, 0.1, 0.2], [0.05, 0.4, 0.01]], dtype=torch.float64)
    noise = 2 / 50
    expected = 0.0
    for positive, *negatives in scores.tolist():
        expected -= math.log(positive / (positive + noise))
        expected -= sum(math.log(noise / (negative + noise)) for negative in negatives)
    assert float(nce(scores, 50)) == pytest.approx(expected / 2, rel=1e-5)


def test_scores_are_softmax_like_and_their_constant_is_that_of_the_first_batch():
    torch.manual_seed(0)
    bank = Bank.random(20, 8, torch.device("cpu"))
    rows = torch.randint(20, (3, 5))
    first, second = (nn.functional.normalize(torch.randn(3, 8)) for _ in range(2))
    scores = bank.scores(first, rows, 0.07)
    raw = torch.tensor(
        [[math.exp(float(bank.rows[j] @ z) / 0.07) for j in r] for r, z in zip(rows, first, strict=True)]
    )
    torch.testing.assert_close(scores, raw / (raw.mean() * 20))
    assert float(scores.mean()) == pytest.approx(1 / 20)
    constant = bank.normaliser.clone()
    bank.scores(second, rows, 0.07)
    assert torch.equal(bank.normaliser, constant)


def test_a_bank_starts_at_mean_length_one_and_moves_towards_what_was_seen():
    torch.manual_seed(0)
    bank = Bank.random(1000, 16, torch.device("cpu"))
    assert float(bank.rows.square().sum(1).mean()) == pytest.approx(1, rel=0.05)
    before = bank.rows.clone()
    new = nn.functional.normalize(torch.randn(2, 16))
    bank.update(torch.tensor([7, 3]), new, 0.5)
    torch.testing.assert_close(bank.rows[3], nn.functional.normalize(before[3] + new[1], dim=0))
    untouched = torch.ones(1000, dtype=torch.bool)
    untouched[[3, 7]] = False
    assert torch.equal(bank.rows[untouched], before[untouched])


def test_negatives_have_another_label_and_are_drawn_once_where_there_are_enough():
    of = torch.tensor([0] * 5 + [1] * 5 + [2] * 5)
    labels = torch.tensor([0, 2])
    rows = draw_negatives(labels, of, 10)
    for label, row in zip(labels, rows, strict=True):
        assert (of[row] != label).all()
        assert len(row.unique()) == 10
    assert draw_negatives(labels, of, 30).shape == (2, 30)
    assert draw_negatives(torch.tensor([1]), torch.ones(4, dtype=torch.long), 2).shape == (1, 2)


def test_what_was_seen_lies_on_the_unit_sphere_and_both_layers_learn(make_pair, monkeypatch):
    banks, starts = [], []
    real_bank, real_loop = Bank.random, distil_features
    monkeypatch.setattr(Bank, "random", lambda *a: banks.append(real_bank(*a)) or banks[-1])

    def loop(task, loss, connectors):
        starts.extend((layer, layer.weight.detach().clone()) for layer in connectors)
        return real_loop(task, loss, connectors=connectors)

    monkeypatch.setattr("methods.distillation.crd.distil_features", loop)
    torch.manual_seed(0)
    crd(make_pair("resnet8", "vgg", {"weights", "labels"}), negatives=8, width=4)
    for bank in banks:
        assert ((bank.rows.norm(dim=1) - 1).abs() < 1e-5).sum() >= 32  # two batches of 16 an epoch
    assert [layer.out_features for layer, _ in starts] == [4, 4]
    assert all(not torch.equal(layer.weight, start) for layer, start in starts)
