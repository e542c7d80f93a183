"""Relational distillation: invariances, degenerate batches, and the textbook formula."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from methods.distillation import rkd as module
from methods.distillation.rkd import angle_loss, cosines, distance_loss, distances, rkd


def embedding(seed: int, rows: int = 6, width: int = 4) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def huber(a: float, b: float) -> float:
    d = abs(a - b)
    return d * d / 2 if d < 1 else d - 0.5


def textbook(student: torch.Tensor, teacher: torch.Tensor) -> tuple[float, float]:
    """Both losses by loops over pairs and triplets of unit differences."""
    n = len(student)
    tables, angles = [], []
    for z in (student, teacher):
        d = [[math.dist(a, b) for b in z.tolist()] for a in z.tolist()]
        positive = [x for row in d for x in row if x > 0]
        tables.append([[x / (sum(positive) / len(positive)) for x in row] for row in d])
        unit = nn.functional.normalize(z[None] - z[:, None], dim=2)
        angles.append(torch.einsum("abd,acd->abc", unit, unit))
    pairs = sum(huber(tables[0][i][j], tables[1][i][j]) for i in range(n) for j in range(n)) / n**2
    triplets = sum(huber(float(s), float(t)) for s, t in zip(angles[0].flatten(), angles[1].flatten(), strict=True))
    return pairs, triplets / n**3


def test_both_losses_are_the_textbooks():
    student, teacher = embedding(0), embedding(1, width=9)
    pairs, triplets = textbook(student, teacher)
    assert float(distance_loss(distances(student), distances(teacher))) == pytest.approx(pairs, rel=1e-12)
    assert float(angle_loss(distances(student), distances(teacher))) == pytest.approx(triplets, rel=1e-12)


@pytest.mark.parametrize(
    "move",
    [
        lambda z: z + 3.0,
        lambda z: 0.01 * z,
        lambda z: 50 * z,
        lambda z: z @ torch.linalg.qr(embedding(9, 4, 4)).Q,
        lambda z: nn.functional.pad(z, (0, 3)),
    ],
    ids=["shift", "shrink", "grow", "rotate", "more coordinates"],
)
def test_relations_do_not_depend_on_coordinates(move):
    student, teacher = embedding(0), embedding(1)
    for loss in (distance_loss, angle_loss):
        value = float(loss(distances(student), distances(teacher)))
        assert value > 0.01
        assert float(loss(distances(move(student)), distances(teacher))) == pytest.approx(value, abs=1e-12)
        assert float(loss(distances(move(teacher)), distances(teacher))) == pytest.approx(0, abs=1e-12)


def test_equal_embeddings_pass_no_gradient_to_each_other_and_nothing_explodes():
    z = embedding(0)
    z[1] = z[0]
    z.requires_grad_()
    d = distances(z)
    assert d[0, 1] == 0
    (distance_loss(d, distances(embedding(1))) + angle_loss(d, distances(embedding(1)))).backward()
    assert torch.isfinite(z.grad).all()
    assert z.grad.abs().max() < 1


def test_a_student_that_maps_everything_to_one_point_gets_a_finite_loss():
    z = torch.zeros(5, 3, requires_grad=True)
    d = distances(z)
    loss = distance_loss(d, distances(embedding(0, 5).float())) + angle_loss(d, distances(embedding(0, 5).float()))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.equal(z.grad, torch.zeros(5, 3))


def test_cosines_at_a_right_angle():
    d = distances(torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 5.0]], dtype=torch.float64))
    table = cosines(d, 0, 3)
    assert table[0, 1, 2] == pytest.approx(0, abs=1e-15)
    assert table[0, 1, 1] == pytest.approx(1)
    assert table[1, 0, 2] == pytest.approx(2 / math.sqrt(29))
    assert table[2, 2].tolist() == [0, 0, 0]


def test_in_slices_it_has_the_same_value_and_gradient():
    results = []
    for at_once in (10**6, 2 * 49, 1):
        z = embedding(0, rows=7).requires_grad_()
        value = angle_loss(distances(z), distances(embedding(1, rows=7)), at_once=at_once)
        value.backward()
        results.append((value.detach(), z.grad))
    for value, grad in results[1:]:
        torch.testing.assert_close(value, results[0][0], rtol=1e-12, atol=0)
        torch.testing.assert_close(grad, results[0][1], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(("kept", "dropped"), [("distance", "angle"), ("angle", "distance")])
def test_a_term_of_weight_zero_is_not_computed(make_pair, monkeypatch, kept, dropped):
    calls = []
    for name in (kept, dropped):
        real = getattr(module, f"{name}_loss")
        monkeypatch.setattr(module, f"{name}_loss", lambda *a, name=name, real=real: calls.append(name) or real(*a))
    rkd(make_pair("resnet8", "vgg", {"weights", "labels"}), **{f"{dropped}_weight": 0.0})
    assert set(calls) == {kept}
