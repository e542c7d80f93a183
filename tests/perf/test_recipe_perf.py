"""What the training loop costs beyond forward, backward and step: at most 15 %, augmentation and all.

pytest tests/perf/test_recipe_perf.py --benchmark-only -s
"""

from __future__ import annotations

import os
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

from bench.data.spec import Dataset, Images, Split
from bench.device import Device, as_input
from bench.models import build
from bench.models.augment import augment
from bench.models.train import fit, make_optimizer
from bench.schema.recipe import Recipe

STEPS, ROUNDS, ALLOWED = 16, 9, 1.15


@pytest.fixture
def data() -> Dataset:
    """Noise at CIFAR-10's shape: what the pixels show does not matter to the clock."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (STEPS * 128, 3, 32, 32), dtype=torch.uint8, generator=generator)
    split = Split(images, torch.randint(0, 10, (len(images),), generator=generator))
    names = tuple("0123456789")
    return Images("noise", "noise", "0", names, split, split, split, mean=(0.5,) * 3, std=(0.29,) * 3)


def bare(model: nn.Module, batches: list[tuple[torch.Tensor, torch.Tensor]], recipe: Recipe) -> None:
    """The least that training can be: batches lie ready as augmented floats in channels_last."""
    model.to(memory_format=torch.channels_last).train()
    optimizer = make_optimizer(model.parameters(), recipe)
    for x, y in batches:
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def test_fit_against_the_bare_loop(benchmark, data):
    recipe, device = Recipe(epochs=1), Device()
    pictures = augment(data.train.inputs, recipe.augment, torch.Generator().manual_seed(0))
    batches = list(zip(map(as_input, pictures.split(128)), data.train.labels.split(128), strict=True))
    wall: dict[str, list[float]] = {"fit": [], "bare": []}
    cpu: dict[str, list[float]] = {"fit": [], "bare": []}

    def clock(name: str) -> None:
        model = build("resnet8", {"width": 16}, 10, data, seed=0)
        generator = torch.Generator().manual_seed(0)
        began = time.perf_counter(), time.process_time()
        if name == "fit":
            fit(model, data.train.inputs, data.train.labels, recipe, generator=generator, device=device)
        else:
            bare(model, batches, recipe)
        wall[name].append(time.perf_counter() - began[0])
        cpu[name].append(time.process_time() - began[1])

    def both() -> None:
        # Interleaved, each going first in every other round: a neighbour's load then falls on both alike.
        for name in ("fit", "bare") if len(wall["fit"]) % 2 else ("bare", "fit"):
            clock(name)

    benchmark.pedantic(both, rounds=ROUNDS, warmup_rounds=1)
    low, median, high = quartiles(wall)
    step = 1e3 * np.median(wall["fit"][1:]) / STEPS
    benchmark.extra_info |= {"ratio": median, "quartiles": [low, high], "step_ms": step, "load": os.getloadavg()}
    sys.stdout.write(
        f"\nfit / bare loop = {median:.3f} (quartiles {low:.3f} to {high:.3f}, {ROUNDS} rounds of {STEPS} steps; "
        f"by CPU time {quartiles(cpu)[1]:.3f}); {step:.0f} ms a step, {torch.get_num_threads()} threads, "
        f"load average {os.getloadavg()[0]:.1f}\n"
    )
    assert median <= ALLOWED


def quartiles(seconds: dict[str, list[float]]) -> tuple[float, float, float]:
    """Of the ratio fit / bare over the rounds; the first round warms up."""
    low, median, high = np.quantile(np.array(seconds["fit"][1:]) / np.array(seconds["bare"][1:]), [0.25, 0.5, 0.75])
    return float(low), float(median), float(high)
