"""Iso-C and Iso-CTS: the spectrum of what they merge, and the directions it has."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from methods.merging.iso import directions_per_task, iso_c, iso_cts, isotropic_subspaces, isotropic_sum
from methods.merging.spectra import leading, polar_factor
from methods.merging.task_vectors import mean, task_vectors


def matrices(count: int, rows: int = 10, columns: int = 14) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(rows, columns, generator=generator, dtype=torch.float64) for _ in range(count)]


def close(a: Tensor, b: Tensor, atol: float = 1e-10) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def nuclear(matrix: Tensor) -> Tensor:
    return torch.linalg.svdvals(matrix).sum()


def low_rank(rank: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.randn(n, rank, generator=generator, dtype=torch.float64) for n in (10, 14))
    return left @ right.mT


@pytest.mark.parametrize("shape", [(10, 14), (14, 10)])
def test_the_spectrum_is_flat_and_the_nuclear_norm_is_that_of_the_sum(shape: tuple[int, int]):
    deltas = matrices(3, *shape)
    merged = isotropic_sum(deltas)
    total = sum(deltas)
    values = torch.linalg.svdvals(merged)
    close(values, values.mean().expand(10))
    close(nuclear(merged), nuclear(total))
    u, s, vh = torch.linalg.svd(total, full_matrices=False)
    close(merged, s.mean() * u @ vh)


def test_it_depends_on_the_sum_alone():
    a, b, c = matrices(3)
    close(isotropic_sum([a, b, c]), isotropic_sum([a + b + c]))
    close(isotropic_sum([a, b]), isotropic_sum([3 * a, b - 2 * a]))


@pytest.mark.parametrize("merge", [isotropic_sum, lambda deltas: isotropic_subspaces(deltas, 0.6)])
def test_it_is_homogeneous_of_degree_one(merge):
    deltas = matrices(2)
    close(merge([2.5 * d for d in deltas]), 2.5 * merge(deltas))


def test_one_task_keeps_its_singular_vectors_and_loses_its_spectrum():
    (delta,) = matrices(1)
    merged = isotropic_sum([delta])
    u, _, vh = torch.linalg.svd(delta, full_matrices=False)
    rotated = u.mT @ merged @ vh.mT
    close(rotated, torch.eye(10, dtype=torch.float64) * rotated.diagonal().mean())
    assert (merged - delta).norm() > 0.1 * delta.norm()


@pytest.mark.parametrize("merge", [isotropic_sum, lambda deltas: isotropic_subspaces(deltas, 0.8)])
def test_a_null_space_gets_no_weight(merge):
    delta = low_rank(4, seed=1)
    merged = merge([delta, delta])
    values = torch.linalg.svdvals(merged)
    close(values[:4], values[0].expand(4))
    close(values[4:], torch.zeros(6, dtype=torch.float64))
    close(nuclear(merged), nuclear(2 * delta))
    u = torch.linalg.svd(delta)[0][:, :4]
    close(u @ (u.mT @ merged), merged)


@pytest.mark.parametrize(("rank", "common", "tasks", "own"), [
    (10, 0.8, 2, 1),  # 8 + 2 * 1
    (10, 0.6, 2, 2),  # 6 + 2 * 2
    (64, 0.8, 5, 3),  # 13 left, 2.6 a task: 49 + 5 * 3
    (10, 0.8, 5, 0),  # 2 left, 0.4 a task: all are common
    (10, 1.0, 3, 0),
    (10, 0.0, 3, 3),  # 1 + 3 * 3
    (3, 0.0, 5, 0),  # 0.6 a task would be five of three
])  # fmt: skip
def test_the_number_of_task_specific_directions(rank: int, common: float, tasks: int, own: int):
    assert directions_per_task(rank, common, tasks) == own


@pytest.mark.parametrize("shape", [(10, 14), (14, 10)])
@pytest.mark.parametrize("common", [0.0, 0.4, 0.8])
def test_iso_cts_has_as_many_orthonormal_directions_as_the_matrix_has(shape: tuple[int, int], common: float):
    values = torch.linalg.svdvals(isotropic_subspaces(matrices(2, *shape), common))
    assert len(values) == 10
    close(values, values.mean().expand(10))


def test_iso_cts_is_what_its_steps_say():
    deltas = matrices(2)
    total = sum(deltas)
    u, s, vh = torch.linalg.svd(total, full_matrices=False)
    u, s, vh = u[:, :6], s[:6], vh[:6]  # common = 0.6 of rank 10, and 2 for each of two tasks
    parts = [torch.linalg.svd(d - u @ u.mT @ d, full_matrices=False) for d in deltas]
    left = torch.cat([*(p[0][:, :2] for p in parts), u], 1)
    values = torch.cat([*(p[1][:2] for p in parts), s])
    right = torch.cat([*(p[2][:2] for p in parts), vh], 0)
    assert (left[:, :4].mT @ u).abs().max() < 1e-12  # task-specific directions are none of the common ones
    expected = values.mean() * polar_factor(left) @ polar_factor(right.mT).mT
    close(isotropic_subspaces(deltas, 0.6), expected)


def test_with_everything_common_iso_cts_is_iso_c():
    deltas = matrices(3)
    close(isotropic_subspaces(deltas, 1.0), isotropic_sum(deltas))


def test_a_task_inside_of_the_common_directions_adds_no_rounding_errors_of_its_own():
    shared = low_rank(4, seed=1)
    merged = isotropic_subspaces([shared, 2 * shared], 0.8)
    assert int((torch.linalg.svdvals(merged) > 1e-6).sum()) == 4


def test_tasks_that_cancel_leave_nothing():
    (delta,) = matrices(1)
    assert torch.equal(isotropic_sum([delta, -delta]), torch.zeros_like(delta))


def test_leading_triples_are_cut_at_zero_next_to_the_scale():
    delta = low_rank(4, seed=1)
    assert len(leading(delta)[1]) == 4
    assert len(leading(delta, 2)[1]) == 2
    assert len(leading(1e-9 * delta)[1]) == 4
    assert len(leading(1e-9 * delta, scale=delta.norm())[1]) == 0


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 5, 3)
        self.linear = nn.Linear(5, 4)
        self.head = nn.Linear(4, 3)


@pytest.mark.parametrize(("method", "options"), [(iso_c, {}), (iso_cts, {"common": 0.5})])
def test_matrices_and_kernels_become_isotropic_and_the_rest_is_averaged(method, options):
    torch.manual_seed(0)
    init, *parents = (Net().double() for _ in range(3))
    vectors = task_vectors(init, parents)
    (change,) = task_vectors(init, [method(SimpleNamespace(init=init, parents=parents), scaling=1.5, **options)])
    for name in ("conv.weight", "linear.weight"):
        values = torch.linalg.svdvals(change[name].flatten(1))
        close(values, values.mean().expand(len(values)))
    for name in ("conv.bias", "linear.bias"):
        close(change[name], 1.5 * mean(vectors)[name])
