"""Singular triples of task matrices, without those of a null space, and the nearest orthonormal vectors."""

from __future__ import annotations

import torch
from torch import Tensor

RANK_TOLERANCE = 1e-6
"""Singular values below this share of what they are measured by count as zero."""

GRAM_FLOOR = 1e-4
"""The smallest singular value, as a share of the largest, down to which the Gram matrix of the smaller side is used."""

Triples = tuple[Tensor, Tensor, Tensor]
"""U [m, k], s [k], V^T [k, n]."""


def leading(matrix: Tensor, count: int | None = None, scale: Tensor | None = None) -> Triples:
    """The leading singular triples of a matrix [m, n], at most `count` of them (all, if unset).

    Triples of singular value zero are left out: their vectors are arbitrary ones of a null space.

    Args:
        matrix: float64.
        count: how many at most.
        scale: zero is what is below RANK_TOLERANCE of this; of the matrix's own Frobenius norm, if unset. A residual
            has to be judged by the norm of what it is a residual of, else its rounding errors would count.
    """
    u, s, vh = decompose(matrix, count)
    rank = int((s > RANK_TOLERANCE * (s.norm() if scale is None else scale)).sum())
    kept = rank if count is None else min(rank, count)
    return u[:, :kept], s[:kept], vh[:kept]


def decompose(matrix: Tensor, count: int | None = None) -> Triples:
    """Thin SVD of a matrix [m, n] in float64; the leading `count` triples, or a few more, if that is what is wanted.

    The Gram matrix of the smaller side has the squared singular values, and one set of vectors: a third to a tenth of
    the time of an SVD. What it costs is accuracy, eps (s_1 / s_k)^2 of the other set of vectors: where the last wanted
    singular value is below GRAM_FLOOR of the first it is the SVD that is taken, so that the error stays below 1e-7.
    """
    if matrix.shape[0] > matrix.shape[1]:
        u, s, vh = decompose(matrix.mT, count)
        return vh.mT, s, u.mT
    count = min(matrix.shape) if count is None else min(count, *matrix.shape)
    squares, vectors = torch.linalg.eigh(matrix @ matrix.mT)  # in ascending order
    squares, u = squares.flip(0)[:count], vectors.flip(1)[:, :count]
    if count == 0 or not squares[-1] > GRAM_FLOOR**2 * squares[0]:
        return torch.linalg.svd(matrix, full_matrices=False)
    s = squares.sqrt()
    return u, s, (u.mT @ matrix) / s[:, None]


def polar_factor(matrix: Tensor) -> Tensor:
    """The nearest matrix [m, n] of orthonormal columns, P Q^T of the SVD P D Q^T; a partial isometry at lower rank."""
    p, d, qh = decompose(matrix)
    rank = int((d > RANK_TOLERANCE * d[0]).sum())
    return p[:, :rank] @ qh[:rank]
