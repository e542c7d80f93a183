"""TSV-Merge: identities of the merged matrix."""

import pytest
import torch
from torch import Tensor

from methods.merging.spectra import polar_factor
from methods.merging.tsv_merge import decorrelated_sum


def matrices(count: int, rows: int = 12, columns: int = 20) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(rows, columns, generator=generator, dtype=torch.float64) for _ in range(count)]


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def leading(delta: Tensor, rank: int) -> Tensor:
    u, s, vh = torch.linalg.svd(delta, full_matrices=False)
    return (u[:, :rank] * s[:rank]) @ vh[:rank]


def test_the_polar_factor_is_orthonormal_and_equals_the_whitening_formula():
    (matrix,) = matrices(1, rows=20, columns=6)
    factor = polar_factor(matrix)
    close(factor.mT @ factor, torch.eye(6, dtype=torch.float64))
    values, vectors = torch.linalg.eigh(matrix.mT @ matrix)
    close(factor, matrix @ (vectors * values.rsqrt()) @ vectors.mT)


def test_no_orthonormal_matrix_is_nearer_than_the_polar_factor():
    (matrix,) = matrices(1, rows=20, columns=6)
    distance = torch.linalg.norm(matrix - polar_factor(matrix))
    for other in matrices(20, rows=20, columns=6):
        assert torch.linalg.norm(matrix - torch.linalg.qr(other).Q) > distance


def test_the_singular_values_are_those_of_the_tasks_side_by_side():
    deltas = matrices(3)
    expected = torch.cat([torch.linalg.svdvals(d)[:4] for d in deltas]).sort(descending=True).values
    close(torch.linalg.svdvals(decorrelated_sum(deltas)), expected)


@pytest.mark.parametrize("shape", [(12, 20), (20, 12)])
def test_one_task_is_returned_as_it_is(shape: tuple[int, int]):
    deltas = matrices(1, *shape)
    close(decorrelated_sum(deltas), deltas[0])


def test_orthogonal_low_rank_tasks_add_up():
    u = torch.linalg.qr(matrices(1, 12, 12)[0]).Q
    v = torch.linalg.qr(matrices(1, 20, 20)[0]).Q
    deltas = [5.0 * u[:, :4] @ v[:, :4].mT, 3.0 * u[:, 4:8] @ v[:, 4:8].mT, 2.0 * u[:, 8:10] @ v[:, 8:10].mT]
    close(decorrelated_sum(deltas), sum(deltas))


@pytest.mark.parametrize("copies", [2, 3])
def test_duplicated_tasks_give_the_truncated_task_and_no_null_space(copies: int):
    delta = matrices(1)[0]
    close(decorrelated_sum([delta] * copies), leading(delta, 12 // copies))


def test_more_tasks_than_rank_and_tasks_without_change_are_no_trouble():
    assert torch.isfinite(decorrelated_sum(matrices(5, rows=3, columns=4))).all()
    assert torch.equal(decorrelated_sum([torch.zeros(3, 4, dtype=torch.float64)] * 2), torch.zeros(3, 4).double())
