"""KnOTS: the shared basis gives every task back, and matters for merges only that are not linear."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from methods.merging import ties
from methods.merging.dare import drop_and_rescale
from methods.merging.knots import align, joint_basis, knots, layer_matrix, restore
from methods.merging.task_arithmetic import task_arithmetic
from methods.merging.task_vectors import add, task_vectors


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3)
        self.linear = nn.Linear(6, 5)
        self.norm = nn.BatchNorm1d(5)
        self.position = nn.Parameter(torch.randn(1, 40))
        self.head = nn.Linear(5, 3)


def a_task(parents: int = 3) -> SimpleNamespace:
    torch.manual_seed(0)
    nets = [Net().double() for _ in range(parents + 1)]
    for net in nets:
        nn.init.normal_(net.norm.weight)
        nn.init.normal_(net.norm.bias)
    return SimpleNamespace(init=nets[0], parents=nets[1:], generator=torch.Generator().manual_seed(5))


def matrices(count: int, rows: int = 12, columns: int = 5) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(rows, columns, generator=generator, dtype=torch.float64) for _ in range(count)]


def close(a: Tensor, b: Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.flatten() for name, p in model.named_parameters() if not name.startswith("head.")]).detach()


@pytest.mark.parametrize(("rows", "columns", "rank"), [(12, 5, 12), (20, 5, 15)])
def test_the_basis_is_orthonormal_and_gives_every_task_back(rows: int, columns: int, rank: int):
    deltas = matrices(3, rows, columns)
    basis, parts = joint_basis(deltas)
    assert [*basis.shape] == [rows, rank]
    close(basis.mT @ basis, torch.eye(rank, dtype=torch.float64))
    for delta, part in zip(deltas, parts, strict=True):
        close(basis @ part, delta)


def test_directions_that_no_task_has_are_not_in_the_basis():
    left = matrices(1, 12, 3)[0]
    deltas = [left @ right for right in matrices(4, 3, 7)]
    basis, parts = joint_basis(deltas)
    assert [*basis.shape] == [12, 3]
    for delta, part in zip(deltas, parts, strict=True):
        close(basis @ part, delta)


def test_no_change_at_all_has_an_empty_basis():
    basis, parts = joint_basis([torch.zeros(4, 3, dtype=torch.float64)] * 2)
    assert [*basis.shape] == [4, 0]
    assert torch.equal(basis @ parts[0], torch.zeros(4, 3, dtype=torch.float64))


def test_a_bias_is_a_column_a_norm_a_diagonal_and_the_rest_stands_for_itself():
    task = a_task()
    vectors = task_vectors(task.init, task.parents)
    bases, coordinates, others = align(vectors)
    assert sorted(bases) == ["conv.weight", "linear.weight", "norm.weight"]
    for vector, coordinate, other in zip(vectors, coordinates, others, strict=True):
        assert coordinate.keys() == bases.keys()
        assert other.keys() == {"position"}
        assert torch.equal(other["position"], vector["position"])
        expected = torch.cat([vector["conv.weight"].flatten(1), vector["conv.bias"][:, None]], dim=1)
        close(bases["conv.weight"] @ coordinate["conv.weight"], expected)
        expected = torch.cat([torch.diag(vector["norm.weight"]), vector["norm.bias"][:, None]], dim=1)
        close(bases["norm.weight"] @ coordinate["norm.weight"], expected)
        for name, delta in restore(bases, coordinate | other, vector).items():
            close(delta, vector[name])


def test_what_stands_apart_is_trimmed_by_a_ranking_of_its_own():
    task = a_task()
    with torch.no_grad():
        for net in task.parents:
            net.position.mul_(1000)  # in one ranking with the rest, all of it would stay and little else
    vectors = task_vectors(task.init, task.parents)
    got = task_vectors(task.init, [knots(task, keep=0.25)])[0]
    close(got["position"], ties.merge([{"p": v["position"]} for v in vectors], 0.25)["p"])
    assert (got["position"] == 0).any()
    assert got["conv.weight"].abs().max() > 0


def test_a_layer_without_a_bias_and_a_bias_of_another_length():
    vector = {"a.weight": torch.ones(3, 2), "b.weight": torch.ones(3, 2), "b.bias": torch.ones(2)}
    assert layer_matrix(vector, "a.weight").shape == layer_matrix(vector, "b.weight").shape == (3, 2)
    assert align([vector])[2][0].keys() == {"b.bias"}


@pytest.mark.parametrize("scaling", [1.0, 0.6])
def test_the_mean_in_the_basis_is_task_arithmetic(scaling: float):
    task = a_task(3)
    close(weights(knots(task, merge="mean", scaling=scaling)), weights(task_arithmetic(task, scaling=scaling / 3)))


@pytest.mark.parametrize("merge", ["ties", "dare-ties", "mean"])
def test_one_task_with_nothing_left_out_is_that_task(merge: str):
    task = a_task(1)
    close(weights(knots(task, merge=merge, keep=1.0, drop=0.0)), weights(task.parents[0]))


def test_ties_in_the_basis_is_another_merge_than_ties():
    task = a_task()
    vectors = task_vectors(task.init, task.parents)
    bases, coordinates, others = align(vectors)
    merged = restore(bases, ties.merge(coordinates, 0.4) | ties.merge(others, 0.4), vectors[0])
    for name, delta in task_vectors(task.init, [knots(task, keep=0.4)])[0].items():
        close(delta, merged[name])
    assert (weights(knots(task, keep=0.4)) - weights(ties.ties(task, keep=0.4))).abs().max() > 0.01


def test_dare_drops_coordinates_and_ties_then_trims_none():
    task = a_task()
    vectors = task_vectors(task.init, task.parents)
    bases, coordinates, others = align(vectors)
    generator = torch.Generator().manual_seed(5)
    merged = ties.merge([drop_and_rescale(c, 0.4, generator) for c in coordinates], keep=1.0)
    change = restore(bases, merged | ties.merge(others, keep=1.0), vectors[0])
    expected = weights(add(task.init, change, task.parents))
    close(weights(knots(task, merge="dare-ties", drop=0.4)), expected)


def test_the_signs_of_the_basis_do_not_matter():
    basis, parts = joint_basis(matrices(3))
    flips = torch.tensor([1.0, -1.0] * 6, dtype=torch.float64)
    plain = basis @ ties.merge([{"w": p} for p in parts], 0.4)["w"]
    flipped = (basis * flips) @ ties.merge([{"w": flips[:, None] * p} for p in parts], 0.4)["w"]
    close(flipped, plain)


def test_orthogonal_tasks_do_not_conflict_in_the_basis():
    q = torch.linalg.qr(matrices(1, 12, 12)[0]).Q
    blocks = matrices(2, 6, 5)
    deltas = [q[:, :6] @ blocks[0], q[:, 6:] @ blocks[1]]  # outputs of the one and of the other are orthogonal
    basis, parts = joint_basis(deltas)
    half = [{"w": p} for p in parts]  # of each, as the other half is zero up to rounding
    close(basis @ ties.merge(half, keep=0.5)["w"], sum(deltas), atol=1e-10)
    assert (ties.merge([{"w": d} for d in deltas], keep=1.0)["w"] - sum(deltas)).abs().max() > 0.1
