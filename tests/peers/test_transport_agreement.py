"""Our couplings beside the plans of POT (`ot.emd`, `ot.sinkhorn`), between uniform marginals.

POT is one of the project's own dependencies: of equally many units ours is an assignment, else POT's own solver is
called, on a cost in units of its mean.
"""

from __future__ import annotations

import numpy as np
import ot
import pytest
import torch

from methods.fusion.coupling import coupling

SHAPES = [(6, 6), (40, 40), (12, 5), (5, 12), (30, 20)]


def costs(n: int, m: int) -> torch.Tensor:
    """Distances between random points, as between the weights of units."""
    generator = torch.Generator().manual_seed(n * 100 + m)
    a, b = (torch.randn(k, 7, generator=generator, dtype=torch.float64) for k in (n, m))
    return torch.cdist(a, b)


def marginals(n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full(n, 1 / n), np.full(m, 1 / m)


@pytest.mark.parametrize(("n", "m"), SHAPES)
def test_exact_plans(n, m):
    """The optimum is unique with probability one, so that not only its cost agrees but every entry."""
    cost = costs(n, m)
    plan = ot.emd(*marginals(n, m), cost.numpy())
    np.testing.assert_allclose(coupling(cost).numpy() / m, plan, rtol=0, atol=1e-12)


@pytest.mark.parametrize("reg", [0.05, 0.2, 1.0])
@pytest.mark.parametrize(("n", "m"), SHAPES)
def test_regularised_plans(n, m, reg):
    """POT's plain Sinkhorn iterated to the end; its `reg` counts in the cost's units, ours in those of the mean."""
    cost = costs(n, m)
    plan = ot.sinkhorn(
        *marginals(n, m), cost.numpy(), reg * float(cost.mean()), stopThr=1e-13, numItermax=100_000, warn=False
    )
    np.testing.assert_allclose(coupling(cost, reg).numpy() / m, plan, rtol=0, atol=1e-5)


def test_plain_sinkhorn_underflows_where_ours_does_not():
    """At a hundredth of a unit in a cost of thousands exp(-cost / reg) is zero, and POT's plan not a plan."""
    cost = 5000 * costs(8, 8)
    with np.errstate(all="ignore"), pytest.warns(UserWarning, match="numerical"):
        plan = ot.sinkhorn(*marginals(8, 8), cost.numpy(), 0.01)
    assert not np.allclose(plan.sum(1), 1 / 8, rtol=0, atol=1e-5)
    mine = coupling(cost, 0.01 / float(cost.mean()))
    torch.testing.assert_close(mine.sum(0), torch.ones(8, dtype=torch.float64))
