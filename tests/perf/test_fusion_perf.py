"""OT fusion of two ResNet-20 of width 64 beside POT's solver alone: one process, by turns, on one thread.

pytest tests/perf/test_fusion_perf.py --benchmark-only -s

Ours is the whole method: costs, plans, moved weights and the averaged network. (The aligned parent, which the harness
asks for to walk the line to it, is made outside of the meter, and not here.) The rival is what POT's user cannot do
without: one call of its solver a group of units, on the costs that ours met. The target is a ratio of two. Parents have
random weights; `like` adds half as much noise to a reordered copy, which is nearer to trained networks in that most
units have a partner.

A test fails where plans differ, never for the time: the ratio is printed.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import ot
import pytest
import torch
from torch import Tensor, nn

from bench.data.spec import Images, Split
from bench.device import Device
from bench.models import build
from bench.models.permutation import permute, random_permutations
from bench.scenarios.fuse.path import Walk
from bench.scenarios.fuse.scenario import FuseTask
from methods.fusion import ot_fusion as module
from methods.fusion.ot_fusion import ot_fusion

TURNS = 15


def network(seed: int) -> nn.Module:
    split = Split(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64))
    data = Images("noise", "noise", "0", ("a",), split, split, split, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    return Device().place(build("resnet20", {"width": 64}, 10, data, seed=seed).eval().requires_grad_(False))


def reordered(model: nn.Module, noise: float) -> nn.Module:
    generator = torch.Generator().manual_seed(2)
    spec, state = model.permutation_spec(), model.state_dict()
    other = copy.deepcopy(model)
    other.load_state_dict(permute(state, spec, random_permutations(spec, state, generator)))
    for p in other.parameters():
        if p.ndim > 1:
            p.add_(noise * p.std() * torch.randn(p.shape, generator=generator))
    return other


@pytest.fixture
def make_task() -> Callable[[str], FuseTask]:
    """`make_task(pair)`: two parents as they are named above."""
    return _task


def _task(pair: str) -> FuseTask:
    parents = [network(0), network(1) if pair == "strangers" else reordered(network(0), 0.5)]
    given = {"parents": parents, "path": Walk([]).path(), "progress": lambda _done, _total: None}
    return FuseTask(given, {"weights"}, "ot-fusion")


@pytest.fixture
def solved(monkeypatch) -> Callable[..., list[tuple[Tensor, Tensor]]]:
    """The costs that a fusion meets, and its plans."""

    def spy(task: FuseTask, **options: Any) -> list[tuple[Tensor, Tensor]]:
        found, plan = [], module.plan

        def keep(cost: Tensor, *more: Any) -> Tensor:
            found.append((cost, plan(cost, *more)))
            return found[-1][1]

        with monkeypatch.context() as patch:
            patch.setattr(module, "plan", keep)
            ot_fusion(task, **options)
        return found

    return spy


def compare(benchmark, capsys, ours: Callable[[], Any], rival: Callable[[], Any]) -> None:
    """Time both by turns, and print the ratio of the medians."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ours(), rival()
        clocks = np.array([[_clock(ours), _clock(rival)] for _ in range(TURNS)])  # [turn, who, wall or processor]
        benchmark.pedantic(ours, rounds=1)
    finally:
        torch.set_num_threads(threads)
    (mine, mine_cpu), (theirs, theirs_cpu) = np.median(clocks, axis=0) * 1000
    ratios = clocks[:, 0, 1] / clocks[:, 1, 1]
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    benchmark.extra_info.update({"ratio": mine / theirs, "ratio_cpu": middle})
    with capsys.disabled():
        print(  # noqa: T201 - the figures are what this file is for
            f"\n{benchmark.name}: {mine_cpu:.1f} ms, POT's solver alone {theirs_cpu:.1f} ms of processor time:"
            f" {middle:.2f} times [{low:.2f}, {high:.2f}] (by the clock {mine / theirs:.2f})"
            f"  load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        )


def _clock(call: Callable[[], Any]) -> tuple[float, float]:
    began = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - began[0], time.process_time() - began[1]


def uniform(n: int) -> np.ndarray:
    return np.full(n, 1 / n)


@pytest.mark.parametrize("pair", ["strangers", "like"])
def test_exact(make_task, pair, solved, benchmark, capsys):
    task = make_task(pair)
    met = solved(task)
    costs = [cost.double().numpy() for cost, _ in met]

    def rival() -> list[np.ndarray]:
        return [ot.emd(uniform(len(cost)), uniform(len(cost)), cost) for cost in costs]

    assert len(met) == 12
    for (_, mine), theirs in zip(met, rival(), strict=True):
        np.testing.assert_allclose(mine.numpy() / len(mine), theirs, rtol=0, atol=1e-12)
    compare(benchmark, capsys, lambda: ot_fusion(task), rival)


def test_sinkhorn(make_task, solved, benchmark, capsys):
    task = make_task("strangers")  # of the other pair both take minutes: plans that are nearly exact come late
    met = solved(task, reg=0.05)
    costs = [cost.double().numpy() for cost, _ in met]
    costs = [cost / cost.mean() for cost in costs]

    def rival() -> list[np.ndarray]:
        return [
            ot.sinkhorn(uniform(len(cost)), uniform(len(cost)), cost, 0.05, method="sinkhorn_log", warn=False)
            for cost in costs
        ]

    for (_, mine), theirs in zip(met, rival(), strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=0, atol=1e-9)
    compare(benchmark, capsys, lambda: ot_fusion(task, reg=0.05), rival)
