"""Token relations: each loss against a slow version from its formula, and what must not matter to it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from methods.distillation import trg as module
from methods.distillation.kd import kd
from methods.distillation.training import first_look
from methods.distillation.trg import contrast, cosine, drawn, graph, inner_loss, local_loss, patches, tokens_of, trg

pairs = module.matched


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(width: int) -> Tensor:
    return torch.linalg.qr(draw(9, width, width)).Q


def softmax(row: list[float]) -> list[float]:
    e = [math.exp(v) for v in row]
    return [v / sum(e) for v in e]


def test_the_inner_loss_by_hand():
    student, teacher = draw(0, 2, 3, 4), draw(1, 2, 3, 6)
    total = 0.0
    for image in range(2):
        tables = []
        for f in (student[image], teacher[image]):
            rows = [[float(f[i] @ f[j]) / math.sqrt(f.shape[1]) for j in range(3)] for i in range(3)]
            tables.append([softmax(row) for row in rows])
        total += sum((tables[0][i][j] - tables[1][i][j]) ** 2 for i in range(3) for j in range(3))
    assert float(inner_loss(student, teacher)) == pytest.approx(total / 18)


def slow_graph(f: Tensor, neighbours: int) -> list[list[float]]:
    size = len(f)
    square = [[float((f[i] - f[j]).square().sum()) for j in range(size)] for i in range(size)]
    apart = sorted(square[i][j] for i in range(size) for j in range(size) if i != j)
    sigma = apart[(len(apart) - 1) // 2]
    rows = []
    for i in range(size):
        near = sorted((j for j in range(size) if j != i), key=lambda j: square[i][j])[:neighbours]
        rows.append([math.exp(-square[i][j] / (2 * sigma)) if j in near else 0.0 for j in range(size)])
    return rows


def test_the_local_loss_by_hand():
    student, teacher = draw(0, 6, 3), draw(1, 6, 5)
    torch.testing.assert_close(graph(student, 2), torch.tensor(slow_graph(student, 2), dtype=torch.float64))
    mine, theirs = ([softmax(row) for row in slow_graph(f, 2)] for f in (student, teacher))
    expected = (
        sum(t * math.log(t / s) for p, q in zip(theirs, mine, strict=True) for t, s in zip(p, q, strict=True)) / 6
    )
    assert float(local_loss(student, teacher, 2)) == pytest.approx(expected)


def test_the_contrast_by_hand():
    student, teacher = draw(0, 4, 3), draw(1, 4, 3)
    total = 0.0
    for i in range(4):
        scores = [float(torch.cosine_similarity(student[i], teacher[j], dim=0)) / 0.2 for j in range(4)]
        total -= math.log(softmax(scores)[i])
    assert float(contrast(student, teacher, 0.2)) == pytest.approx(total / 4)


def test_relations_ignore_rotation_and_the_graph_scale_too_and_widths_may_differ():
    student, teacher = draw(0, 8, 3), draw(1, 8, 5)
    value = float(local_loss(student, teacher, 3))
    assert value > 0
    assert float(local_loss(4 * student @ rotation(3) + 1, teacher, 3)) == pytest.approx(value)
    wide = torch.cat([teacher, torch.zeros(8, 2, dtype=torch.float64)], dim=1)
    assert float(local_loss(wide, teacher, 3)) == pytest.approx(0, abs=1e-12)
    assert float(inner_loss(teacher[None] @ rotation(5), teacher[None])) == pytest.approx(0, abs=1e-12)


def test_limits():
    one, equal = draw(0, 1, 3), torch.ones(4, 3, requires_grad=True)
    assert float(contrast(one, one, 0.1)) == 0
    assert float(local_loss(one, one, 8)) == 0
    assert float(inner_loss(draw(0, 2, 1, 3), draw(1, 2, 1, 7))) == 0  # one token attends to itself
    local_loss(equal, draw(1, 4, 2).float(), 2).backward()  # tokens that coincide
    assert torch.isfinite(equal.grad).all()
    assert (cosine(0.5, 0.07, 0.0), cosine(0.5, 0.07, 1.0)) == (0.5, pytest.approx(0.07))
    assert cosine(0.5, 0.07, 0.5) == pytest.approx(0.285)


def test_patches_are_squares_of_pixels():
    maps = torch.arange(16.0).view(1, 1, 4, 4)
    assert patches(maps, 2).tolist() == [[[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]]
    assert torch.equal(patches(maps, 1), maps.flatten(2).transpose(1, 2))
    assert patches(torch.zeros(2, 3, 5, 5), 2).shape == (2, 4, 12)


def test_both_networks_are_drawn_from_at_the_same_places():
    student = torch.arange(10.0).repeat(3, 1)[:, :, None]
    torch.manual_seed(0)
    mine, theirs = drawn(student, student + 100, 4)
    assert mine.shape == (12, 1)
    assert torch.equal(mine + 100, theirs)
    assert all(len(set(part.flatten().tolist())) == 4 for part in mine.split(4))
    assert torch.equal(drawn(student, student, 10)[0], student.flatten(0, 1))


@pytest.mark.parametrize(
    ("student", "teacher", "shapes"),
    [
        ("resnet8", "resnet14", [(1, 1, 12 * 4), (1, 1, 20 * 4)]),  # 2x2 pixels, one patch
        ("vit", "resnet8", [(1, 4, 8), (1, 4, 20)]),  # 16 tokens, averaged down to the 2x2 pixels of the map
    ],
)
def test_tokens_are_patches_of_maps_or_those_of_a_transformer(make_pair, student, teacher, shapes):
    task = make_pair(student, teacher, {"weights", "labels"})
    pair = pairs(task.student, task.teacher)[-1:]
    assert [f.shape for f in tokens_of(*first_look(task, pair), 2)] == shapes


def test_a_transformers_tokens_are_what_its_last_layer_puts_out(make_pair):
    task = make_pair("vit", "vit", {"weights", "labels"})
    seen = first_look(task, pairs(task.student, task.teacher)[-1:])
    for tokens, one in zip(tokens_of(*seen, 2), seen, strict=True):
        torch.testing.assert_close(tokens, one.stages[-1][1])


def test_without_its_losses_it_is_kd_to_the_last_digit(make_pair):
    access = {"weights", "outputs", "labels"}
    plain, bare = make_pair("resnet8", "vgg", access), make_pair("resnet8", "vgg", access)
    kd(plain)
    trg(bare, inner_weight=0.0, local_weight=0.0, global_weight=0.0)
    for a, b in zip(plain.student.parameters(), bare.student.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("weight", "parameters"), [(0.1, 48 * 80 + 80), (0.0, 0)])
def test_the_connector_is_a_linear_layer_from_token_to_token_where_the_contrast_counts(
    make_pair, monkeypatch, weight, parameters
):
    asked: list[nn.Module] = []

    def distil(task, objective, *, pairs, connectors):
        asked.extend(connectors)

    monkeypatch.setattr(module, "distil_features", distil)
    trg(make_pair("resnet8", "resnet14", {"weights", "labels"}), global_weight=weight)
    assert sum(p.numel() for connector in asked for p in connector.parameters()) == parameters
