"""Optimal transport between two sets of units of equal weight: which unit of B is made of which units of A."""

from __future__ import annotations

import torch
from torch import Tensor


def coupling(cost: Tensor, reg: float = 0.0) -> Tensor:
    """The optimal plan between uniform marginals, its columns scaled to sum to one.

    Entry [i, j] is the share of unit i of A in unit j of B: the plan times diag(1 / nu) of Singh and Jaggi.

    Args:
        cost: float64 [n, m], distance of unit i of A to unit j of B.
        reg: entropic regularisation, in units of the mean cost; 0 is the exact problem. Exact plans between equally
            many units are permutations (Birkhoff), so the assignment problem is solved in their place.

    Returns:
        float64 [n, m] on the device of `cost`.
    """
    n, m = cost.shape
    costs = cost.cpu().numpy()
    if reg == 0 and n == m:
        from scipy.optimize import linear_sum_assignment

        rows, columns = linear_sum_assignment(costs)
        plan = torch.zeros_like(cost)
        plan[torch.from_numpy(rows), torch.from_numpy(columns)] = 1.0
        return plan
    import numpy as np
    import ot

    mu, nu = np.full(n, 1 / n), np.full(m, 1 / m)
    if reg == 0:
        plan = ot.emd(mu, nu, costs)
    else:  # In the log domain, since exp(-cost / reg) underflows. Normalising makes up for an early stop.
        costs = costs / (costs.mean() or 1.0)
        plan = ot.sinkhorn(mu, nu, costs, reg, method="sinkhorn_log", warn=False)
    return torch.from_numpy(plan / plan.sum(0)).to(cost)
