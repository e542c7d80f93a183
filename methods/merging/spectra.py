"""Singular triples of task matrices, without those of a null space, and the nearest orthonormal vectors."""

from __future__ import annotations

import torch
from torch import Tensor

RANK_TOLERANCE = 1e-6
"""Singular values below this share of what they are measured by count as zero."""

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
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    rank = int((s > RANK_TOLERANCE * (s.norm() if scale is None else scale)).sum())
    kept = rank if count is None else min(rank, count)
    return u[:, :kept], s[:kept], vh[:kept]


def polar_factor(matrix: Tensor) -> Tensor:
    """The nearest matrix [m, n] of orthonormal columns, P Q^T of the SVD P D Q^T; a partial isometry at lower rank."""
    p, d, qh = torch.linalg.svd(matrix, full_matrices=False)
    rank = int((d > RANK_TOLERANCE * d[0]).sum())
    return p[:, :rank] @ qh[:rank]
