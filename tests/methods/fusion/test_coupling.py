"""Optimal couplings: optimality against all permutations, marginals, and what regularisation may cost."""

import itertools
import math

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import BenchError
from methods.fusion.coupling import OFF, coupling, plan


def random_cost(n: int, m: int, seed: int) -> torch.Tensor:
    return torch.rand(n, m, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.integers(1, 6), st.integers(0, 20))
@settings(max_examples=15)
def test_between_equal_numbers_it_is_the_cheapest_permutation(n, seed):
    cost = random_cost(n, n, seed)
    plan = coupling(cost)
    assert set(plan.unique().tolist()) <= {0.0, 1.0}
    cheapest = min(sum(float(cost[i, j]) for i, j in enumerate(p)) for p in itertools.permutations(range(n)))
    assert float((plan * cost).sum()) == pytest.approx(cheapest, rel=1e-12)


@pytest.mark.parametrize("reg", [0.0, 0.1])
@pytest.mark.parametrize(("n", "m"), [(6, 3), (3, 6), (5, 4), (4, 4)])
def test_columns_sum_to_one_and_rows_to_their_share(n, m, reg):
    plan = coupling(random_cost(n, m, 0), reg)
    np.testing.assert_allclose(plan.sum(0), np.ones(m), rtol=0, atol=1e-14)
    np.testing.assert_allclose(plan.sum(1), np.full(n, m / n), rtol=0, atol=1e-7)


def test_unequal_numbers_reach_the_optimum_of_the_linear_program():
    from scipy.optimize import linprog

    cost, n, m = random_cost(5, 3, 1), 5, 3
    rows = np.kron(np.eye(n), np.ones(m))
    columns = np.kron(np.ones(n), np.eye(m))
    marginals = np.r_[np.full(n, 1 / n), np.full(m, 1 / m)]
    best = linprog(cost.numpy().ravel(), A_eq=np.r_[rows, columns], b_eq=marginals).fun
    assert float((coupling(cost) * cost).sum()) / m == pytest.approx(best, rel=1e-9)


def test_what_regularisation_costs_shrinks_with_it_within_the_entropy_bound():
    """The regularised plan's cost exceeds the optimum by at most reg times the largest entropy gap, log n."""
    n, cost = 6, random_cost(6, 6, 2)
    best = float((coupling(cost) * cost).sum()) / n
    excess = [float((coupling(cost, reg) * cost).sum()) / n - best for reg in (1.0, 0.3, 0.1)]
    assert excess == sorted(excess, reverse=True)
    for reg, more in zip((1.0, 0.3, 0.1), excess, strict=True):
        assert 0 <= more <= reg * float(cost.mean()) * math.log(n)


def test_large_regularisation_mixes_all_units():
    cost = random_cost(6, 6, 2)
    torch.testing.assert_close(coupling(cost, 1e3), torch.full_like(cost, 1 / 6), rtol=0, atol=1e-3)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_the_scale_of_the_cost_changes_nothing(scale):
    cost = random_cost(5, 5, 3)
    torch.testing.assert_close(coupling(cost * scale, 0.1), coupling(cost, 0.1), rtol=1e-9, atol=1e-12)


def test_units_that_are_all_alike_couple_to_something_finite():
    for reg in (0.0, 0.1):
        assert coupling(torch.zeros(4, 4, dtype=torch.float64), reg).isfinite().all()


@pytest.mark.parametrize("reg", [0.0, 0.1])
@pytest.mark.parametrize(("n", "m"), [(4, 4), (6, 3)])
def test_masses_are_the_marginals_up_to_a_factor(n, m, reg):
    masses = torch.arange(1.0, n + 1), torch.arange(2.0, m + 2)
    found = plan(random_cost(n, m, 4), reg, masses)
    torch.testing.assert_close(found.sum(1), masses[0].double() / masses[0].sum(), rtol=0, atol=1e-6)
    torch.testing.assert_close(found.sum(0), masses[1].double() / masses[1].sum(), rtol=0, atol=1e-6)
    torch.testing.assert_close(plan(random_cost(n, m, 4), reg, (3 * masses[0], masses[1])), found)


@pytest.mark.parametrize(("n", "m"), [(4, 4), (6, 3), (3, 5)])
@pytest.mark.parametrize("reg_m", [0.02, 0.5])
def test_an_unbalanced_plan_is_a_minimum_of_its_objective(n, m, reg_m):
    """<T, C> + reg KL(T | 1) + reg_m KL(T 1 | 1) + reg_m KL(T^T 1 | 1) is convex, and its gradient here zero.

    C is of mean one, and then shifted to a least entry of zero.
    """
    reg, cost = 0.2, random_cost(n, m, 5)
    found = plan(cost, reg, reg_m=reg_m)
    costs = (cost - cost.min()) / cost.mean()
    gradient = costs + reg * found.log() + reg_m * (found.sum(1, keepdim=True).log() + found.sum(0).log())
    torch.testing.assert_close(gradient, torch.zeros(n, m, dtype=torch.float64), rtol=0, atol=1e-5)


def test_the_dearer_deviating_is_the_nearer_an_unbalanced_plan_comes_to_the_balanced_one():
    cost = random_cost(5, 5, 6)
    gaps = [float((coupling(cost, 0.3, reg_m=reg_m) - coupling(cost, 0.3)).abs().max()) for reg_m in (0.01, 1.0, 100.0)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0.05
    assert gaps[-1] < 1e-2


def test_beyond_the_range_of_numbers_an_unbalanced_plan_is_refused():
    cost = torch.ones(3, 3, dtype=torch.float64) + 1e6 * torch.eye(3, dtype=torch.float64)
    cost[0] = 1e9
    with pytest.raises(BenchError, match=r"unbalanced transport at reg = 0\.0001.*raise reg"):
        plan(cost, 1e-4, reg_m=1e-5)


@pytest.mark.parametrize("reg", [0.01, 1e-5])
@pytest.mark.parametrize(("n", "m"), [(12, 12), (12, 6)])
def test_a_small_regularisation_converges_towards_the_exact_plan(n, m, reg):
    cost = torch.rand(n, m, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    exact, found = plan(cost), plan(cost, reg)
    assert (found.sum(0) * m - 1).abs().max() < OFF
    assert (found.sum(1) * n - 1).abs().max() < OFF
    cheapest = (exact / exact.sum() * cost).sum()
    assert cheapest - 1e-4 < (found * cost).sum() < cheapest * (1 + 2 * reg)


def test_a_plan_that_a_thousand_steps_find_is_what_they_find():
    cost = torch.rand(16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).numpy()
    mass = np.full(16, 1 / 16)
    plain = ot.sinkhorn(mass, mass, cost / cost.mean(), 0.1, method="sinkhorn_log")
    assert np.array_equal(plan(torch.from_numpy(cost), 0.1).numpy(), plain)


@pytest.mark.parametrize("reg", [1e-310, 1e-3])
def test_a_plan_that_is_not_found_is_told(reg, monkeypatch):
    if reg == 1e-3:
        monkeypatch.setattr("methods.fusion.coupling.OFF", 1e-12)
    cost = torch.rand(12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with pytest.raises(BenchError, match=r"did not converge at reg = .*; raise reg"):
        plan(cost, reg)
