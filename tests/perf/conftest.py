"""What the timings of data-free methods share: a task, bare networks and optimisers, and the comparison itself."""

from __future__ import annotations

import copy
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench import registry
from bench.data.images.kind import ImageProblem
from bench.device import Device
from bench.models import build
from bench.registry import METHODS
from bench.scenarios.datafree.scenario import DataFreeTask
from bench.schema.recipe import Recipe
from bench.task.budget import Budget
from bench.task.monitor import Monitor, Observations
from methods.datafree.generator import AffinePixels, Generator, NormalizedPixels, normalizer

UPDATES, ROUNDS = 20, 9
SHAPE, CLASSES, BATCH = (3, 16, 16), 10, 64
NZ, NGF = 100, 24


class Unseen(Monitor):
    """A monitor that looks at no student: in a real run the harness does so twenty times, and charges it to nobody."""

    def due(self, spent: float) -> bool:
        return False


@pytest.fixture(scope="session")
def networks() -> tuple[nn.Module, nn.Module]:
    """A teacher of width 16 and a student of width 8, ResNet-8 both, in channels_last."""
    problem = SimpleNamespace(
        problem=partial(ImageProblem, shape=SHAPE, mean=(0.5,) * SHAPE[0], std=(0.25,) * SHAPE[0])
    )
    made = [Device().place(build("resnet8", {"width": w}, CLASSES, problem, seed=w)) for w in (16, 8)]  # type: ignore[arg-type]
    return made[0].eval().requires_grad_(False), made[1].train()


def make_task(networks: tuple[nn.Module, nn.Module], access: set[str]) -> DataFreeTask:
    """What a method is given, with `UPDATES` as its budget."""
    given = {
        "teacher": copy.deepcopy(networks[0]),
        "student": copy.deepcopy(networks[1]),
        "budget": Budget(UPDATES),
        "monitor": Unseen(Observations(lambda _: 0.0)),
        "batch_size": BATCH,
        "lr": 0.1,
        "weight_decay": 1e-4,
        "temperature": 4.0,
        "recipe": Recipe(),
        "device": torch.device("cpu"),
        "compute": Device(),
        "seed": 0,
        "generator": torch.Generator().manual_seed(0),
        "num_classes": CLASSES,
        "input_shape": SHAPE,
        "progress": lambda done, total: None,
    }
    return DataFreeTask(given, access, "timed")


class Parts:
    """Copies of teacher and student, a generator, their optimisers, and what the teacher's BatchNorm layers are given.

    Args:
        nz: length of the generator's noise.
        pixels: what makes pixels of its last convolution: `tanh`, `affine` or `sigmoid`.
    """

    updates, batch, classes, shape, ngf = UPDATES, BATCH, CLASSES, SHAPE, NGF

    def __init__(self, networks: tuple[nn.Module, nn.Module], *, nz: int = NZ, pixels: str = "tanh") -> None:
        self.teacher, self.student = map(copy.deepcopy, networks)
        self.nz = nz
        self.generator = self.new_generator(pixels)
        self.climbing = torch.optim.Adam(self.generator.parameters(), lr=1e-3)
        self.learning = torch.optim.SGD(self.student.parameters(), 0.1, momentum=0.9, weight_decay=1e-4, fused=True)
        self.inputs: dict[nn.Module, Tensor] = {}
        self.average: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def new_generator(self, pixels: str = "sigmoid", ngf: int = NGF) -> nn.Module:
        mean, std = normalizer(self.teacher)
        kinds = {"tanh": NormalizedPixels, "affine": AffinePixels, "sigmoid": lambda *_: nn.Sigmoid()}
        return Generator(self.nz, ngf, SHAPE, kinds[pixels](mean, std)).to(memory_format=torch.channels_last)

    def watch(self) -> None:
        """From now on, remember the inputs of the teacher's BatchNorm layers."""
        for layer in self.teacher.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.register_forward_pre_hook(lambda m, x: self.inputs.__setitem__(m, x[0]))

    def moments(self) -> dict[nn.Module, tuple[Tensor, Tensor]]:
        """(mean, variance) of what each layer was last given."""
        return {m: (x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)) for m, x in self.inputs.items()}

    def statistics(self) -> Tensor:
        """R_bn, with a running average of the moments once there is one."""
        total = torch.zeros(())
        for layer, (mean, var) in self.moments().items():
            if layer in self.average:
                mean = 0.1 * mean + 0.9 * self.average[layer][0]
                var = 0.1 * var + 0.9 * self.average[layer][1]
            total = total + (mean - layer.running_mean).norm() + (var - layer.running_var).norm()
        return total

    def remember(self) -> None:
        """Take the latest moments into their running average."""
        for layer, new in self.moments().items():
            old = self.average.get(layer, new)
            self.average[layer] = tuple(0.9 * b.detach() + 0.1 * a.detach() for a, b in zip(new, old, strict=True))

    def noise(self, count: int = BATCH) -> Tensor:
        return torch.randn(count, self.nz)

    @torch.no_grad()
    def images(self, z: Tensor, generator: nn.Module | None = None) -> Tensor:
        return (generator or self.generator)(z)

    @torch.no_grad()
    def ask(self, x: Tensor) -> Tensor:
        return self.teacher(x)

    def learn(self, loss: Tensor) -> None:
        """One update of the student."""
        self.learning.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
        self.learning.step()

    def climb(self, loss: Tensor, *, clip: bool = False) -> None:
        """One step of the generator."""
        self.climbing.zero_grad()
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(self.generator.parameters(), 5.0)
        self.climbing.step()


@pytest.fixture
def make_parts(networks: tuple[nn.Module, nn.Module]) -> Callable[..., Parts]:
    """`make_parts(nz=..., pixels=...)`: bare parts for a loop."""
    return lambda **options: Parts(networks, **options)


@pytest.fixture
def compare(benchmark: Any, networks: tuple[nn.Module, nn.Module]) -> Callable[..., None]:
    """`compare(name, plain, **parameters)`: time a method beside `plain()`, print and keep the ratio."""
    registry.discover()
    torch.set_num_threads(1)

    def run(name: str, plain: Callable[[], object], **parameters: object) -> None:
        method = METHODS.get(name)
        options = registry.parameters(method).model_validate(parameters).model_dump()
        wall: dict[str, list[float]] = {"method": [], "plain": []}
        cpu: dict[str, list[float]] = {"method": [], "plain": []}

        def clock(side: str) -> None:
            task = make_task(networks, set(method.access))
            torch.manual_seed(0)
            began = time.perf_counter(), time.process_time()
            if side == "method":
                method.function(task, **options)
            else:
                plain()
            wall[side].append(time.perf_counter() - began[0])
            cpu[side].append(time.process_time() - began[1])

        def both() -> None:
            # Interleaved, each going first in every other round: a neighbour's load then falls on both alike.
            for side in ("method", "plain") if len(wall["method"]) % 2 else ("plain", "method"):
                clock(side)

        benchmark.pedantic(both, rounds=ROUNDS, warmup_rounds=1)
        low, median, high = quartiles(cpu)
        step = 1e3 * float(np.median(cpu["method"][1:])) / UPDATES
        benchmark.extra_info |= {"ratio": median, "quartiles": [low, high], "step_ms": step, "load": os.getloadavg()}
        sys.stdout.write(
            f"\n{name} / plain loop = {median:.3f} by CPU time (quartiles {low:.3f} to {high:.3f}, {ROUNDS} rounds of "
            f"{UPDATES} updates; by the clock {quartiles(wall)[1]:.3f}); {step:.1f} ms an update, load average "
            f"{os.getloadavg()[0]:.1f}\n"
        )

    return run


def quartiles(seconds: dict[str, list[float]]) -> tuple[float, float, float]:
    """Of the ratio method / plain over the rounds; the first round warms up."""
    low, median, high = np.quantile(np.array(seconds["method"][1:]) / np.array(seconds["plain"][1:]), [0.25, 0.5, 0.75])
    return float(low), float(median), float(high)
