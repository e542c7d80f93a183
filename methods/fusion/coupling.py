"""Optimal transport between two sets of units: which unit of B is made of which units of A."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from bench.errors import BenchError

Masses = tuple[Tensor, Tensor]
"""What the units of A [n] and of B [m] weigh, positive; only their ratios within a network count."""

STOP = 1e-9
"""Norm of the error of masses at which POT's Sinkhorn takes its plan for found."""
OFF = 1e-3
"""Share by which the mass of a unit may be off at most."""


def coupling(cost: Tensor, reg: float = 0.0, masses: Masses | None = None, reg_m: float | None = None) -> Tensor:
    """The optimal plan, its columns scaled to sum to one.

    Entry [i, j] is the share of unit i of A in unit j of B: the plan times diag(1 / nu) of Singh and Jaggi.
    The arguments are those of `plan`.
    """
    found = plan(cost, reg, masses, reg_m)
    return found / found.sum(0)


def plan(cost: Tensor, reg: float = 0.0, masses: Masses | None = None, reg_m: float | None = None) -> Tensor:
    """The transport plan of least cost: exact, entropic (Sinkhorn), or entropic and unbalanced.

    Args:
        cost: [n, m], distance of unit i of A to unit j of B.
        reg: entropic regularisation, in units of the mean cost; 0 is the exact problem. Exact plans between equally
            many units of equal mass are permutations (Birkhoff), so the assignment problem is solved in their place.
        masses: of the units; equal, if unset.
        reg_m: price of deviating from the masses (Kullback-Leibler), in units of the mean cost; None: none may.

    Returns:
        float64 [n, m] on the device of `cost`. Up to a factor, its row and column sums are the masses, if none may
        deviate; unbalanced, units weigh one on average in either network, so that a wider network is heavier.

    Raises:
        BenchError: `reg_m` without `reg`, entropic plans that are not found, or unbalanced ones beyond the range of
            numbers.
    """
    if reg_m is not None and reg == 0:
        raise BenchError("reg_m, for unbalanced transport, needs entropic regularisation; set reg above 0")
    n, m = cost.shape
    costs = cost.double().cpu().numpy()
    if masses is None and reg == 0 and n == m:
        from scipy.optimize import linear_sum_assignment

        # Less what all plans pay alike; the solver, whose prices start from zero, then takes two thirds of the time.
        left = costs - costs.min(0)
        rows, columns = linear_sum_assignment(left - left.min(1, keepdims=True))
        exact = torch.zeros(n, m, dtype=torch.float64, device=cost.device)
        exact[torch.from_numpy(rows), torch.from_numpy(columns)] = 1.0
        return exact
    import ot

    if masses is None:
        masses = torch.ones(n), torch.ones(m)
    mu, nu = ((mass.double() / mass.double().sum()).cpu().numpy() for mass in masses)
    if reg == 0:
        return torch.from_numpy(ot.emd(mu, nu, costs)).to(cost.device)
    costs = costs / (costs.mean() or 1.0)
    if reg_m is None:
        found = _entropic(mu, nu, costs, reg)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:  # A constant in the cost changes the total mass alone; without it exp(-cost / reg) underflows later.
                found = ot.unbalanced.sinkhorn_unbalanced(mu * n, nu * m, costs - costs.min(), reg, reg_m)
            except (UserWarning, RuntimeWarning) as warning:
                raise BenchError(f"unbalanced transport at reg = {reg}: {warning}; raise reg") from None
    return torch.from_numpy(found).to(cost.device)


def _entropic(mu: np.ndarray, nu: np.ndarray, costs: np.ndarray, reg: float) -> np.ndarray:
    """Sinkhorn's plan [n, m], in the log domain, since exp(-cost / reg) underflows.

    Where 1,000 steps do not find it, it is approached by a sequence of easier problems: reg is halved from the range of
    costs down to its value, and each problem starts from the potentials of the one before.

    Raises:
        BenchError: even so the mass of a unit is off by more than `OFF`.
    """
    from ot.bregman import sinkhorn_log

    with np.errstate(all="ignore"):  # what cannot be computed shows in the masses
        found, log = sinkhorn_log(mu, nu, costs, reg, warn=False, log=True)
        if log["err"][-1] < STOP:
            return found
        u, v = np.zeros_like(mu), np.zeros_like(nu)
        easier = float(np.ptp(costs))
        while easier > reg:
            start = u / easier, v / easier
            _, log = sinkhorn_log(mu, nu, costs, easier, 100, warn=False, log=True, warmstart=start)
            u, v = log["log_u"] * easier, log["log_v"] * easier
            easier /= 2
        found, log = sinkhorn_log(mu, nu, costs, reg, 2000, warn=False, log=True, warmstart=(u / reg, v / reg))
    off = max(np.abs(found.sum(1) / mu - 1).max(), np.abs(found.sum(0) / nu - 1).max())
    if not off <= OFF:
        raise BenchError(
            f"Sinkhorn did not converge at reg = {reg:g}: the mass of a unit is off by {off:.1%}; raise reg"
        )
    return found
