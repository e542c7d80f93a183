"""Thin SVD by the Gram matrix of the smaller side: how exact it is, and where it must not be used."""

import pytest
import torch
from torch import Tensor

from methods.merging import spectra
from methods.merging.spectra import GRAM_FLOOR, decompose, leading, polar_factor


def with_spectrum(values: Tensor, rows: int, columns: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    u, v = (torch.randn(n, len(values), generator=generator, dtype=torch.float64) for n in (rows, columns))
    return (torch.linalg.qr(u).Q * values) @ torch.linalg.qr(v).Q.mT


def error(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


@pytest.mark.parametrize("shape", [(40, 70), (70, 40), (40, 40)])
@pytest.mark.parametrize(("smallest", "bound"), [(1e-1, 1e-12), (1e-2, 1e-11), (1.01 * GRAM_FLOOR, 1e-7)])
def test_vectors_are_orthonormal_and_products_exact(shape: tuple[int, int], smallest: float, bound: float):
    matrix = with_spectrum(torch.logspace(0, float(torch.tensor(smallest).log10()), 40).double(), *shape)
    u, s, vh = decompose(matrix)
    values = torch.linalg.svdvals(matrix)
    identity = torch.eye(40, dtype=torch.float64)
    assert error(u.mT @ u, identity) < bound
    assert error(vh @ vh.mT, identity) < bound
    assert error((u * s) @ vh, matrix) < 1e-13
    assert float(((s - values) / values).abs().max()) < bound
    p, _, qh = torch.linalg.svd(matrix, full_matrices=False)
    assert error(polar_factor(matrix) if shape[0] >= shape[1] else polar_factor(matrix.mT).mT, p @ qh) < bound


@pytest.mark.parametrize("smallest", [0.5 * GRAM_FLOOR, 1e-9, 0.0])
def test_where_the_gram_matrix_would_lose_too_much_it_is_the_svd(smallest: float, monkeypatch: pytest.MonkeyPatch):
    values = torch.linspace(1, 0.5, 40, dtype=torch.float64)
    values[-1] = smallest
    matrix = with_spectrum(values, 40, 70)
    u, s, vh = decompose(matrix)
    p, d, qh = torch.linalg.svd(matrix, full_matrices=False)
    assert torch.equal(u, p)
    assert torch.equal(s, d)
    assert torch.equal(vh, qh)
    assert len(decompose(matrix, 39)[1]) == 39  # the weak one is not wanted, and the Gram matrix is good enough


def test_leading_triples_are_those_of_the_svd():
    matrix = with_spectrum(torch.linspace(1, 0.01, 40, dtype=torch.float64), 70, 40)
    p, d, qh = torch.linalg.svd(matrix, full_matrices=False)
    u, s, vh = leading(matrix, 10)
    assert error((u * s) @ vh, (p[:, :10] * d[:10]) @ qh[:10]) < 1e-12
    assert len(leading(with_spectrum(torch.ones(3, dtype=torch.float64), 70, 40))[1]) == 3


def test_an_svd_is_not_taken_where_it_is_not_needed(monkeypatch: pytest.MonkeyPatch):
    matrix = with_spectrum(torch.linspace(1, 0.1, 40, dtype=torch.float64), 40, 70)
    monkeypatch.setattr(spectra.torch.linalg, "svd", None)
    assert len(decompose(matrix)[1]) == 40


def test_nothing_at_all():
    zero = torch.zeros(3, 4, dtype=torch.float64)
    assert len(leading(zero)[1]) == 0
    assert [*polar_factor(zero.mT).shape] == [4, 3]
    assert torch.equal(polar_factor(zero.mT), zero.mT)
