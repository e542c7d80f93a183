"""Shadow models trained side by side, their weights stacked under vmap, beside `fit` one after the other.

pytest tests/perf/test_stacked_perf.py --benchmark-only -s

Both sides take the same steps on the same batches; a test fails where their weights differ by more than rounding, never
for the time. The ratio of processor seconds is printed: above 1 stacking wins.

Why the zoo does not train so: on images of 8 pixels it wins, at 16 it is even, at 32 it loses (grouped convolutions),
and rounding does not stay small. A ResNet-8 of digits trained for 20 epochs ends 0.3 away in its weights and 2 % in its
predictions, so that one key would stand for two models. (The weights of an MLP agree to 6e-6.)
"""

from __future__ import annotations

import copy
import os
import sys
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from bench.data.images.kind import ImageProblem
from bench.device import Device, as_input
from bench.models import build
from bench.models.train import fit, learning_rate, make_optimizer
from bench.schema.recipe import Recipe

MODELS, ROWS, TURNS = 32, 400, 5
RECIPES = {
    "resnet8": ({"width": 8}, Recipe(epochs=1, batch_size=32, peak_lr=0.1, augment="none")),
    "mlp": (
        {"width": 64, "depth": 2},
        Recipe(epochs=1, batch_size=32, optimizer="adamw", peak_lr=5e-3, augment="none"),
    ),
}


def generators() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(MODELS)]


def one_by_one(models: list[nn.Module], images: Tensor, labels: Tensor, recipe: Recipe) -> list[nn.Module]:
    for model, generator in zip(models, generators(), strict=True):
        fit(model, images, labels, recipe, generator=generator, device=Device())
    return models


def stacked(models: list[nn.Module], images: Tensor, labels: Tensor, recipe: Recipe) -> list[nn.Module]:
    """The loop of `fit` with every tensor [models, ...]: one graph, one backward pass and one optimiser for all."""
    for model in models:
        model.train()
    weights, buffers = stack_module_state(models)
    single = dict(models[0].named_parameters())
    skeleton = copy.deepcopy(models[0]).to("meta")
    kernels = [p for name, p in weights.items() if single[name].ndim >= 2]
    others = [p for name, p in weights.items() if single[name].ndim < 2]
    optimizer = make_optimizer(weights.values(), recipe)
    optimizer.param_groups.clear()
    optimizer.add_param_group({"params": kernels, "weight_decay": recipe.weight_decay})
    optimizer.add_param_group({"params": others, "weight_decay": 0.0})

    def loss(w: dict[str, Tensor], b: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(functional_call(skeleton, (w, b), (x,)), y)

    batch = recipe.batch_size
    per_epoch = len(images) // batch
    drawn = generators()
    for epoch in range(recipe.epochs):
        order = torch.stack([torch.randperm(len(images), generator=g)[: per_epoch * batch] for g in drawn])
        for i in range(per_epoch):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(epoch * per_epoch + i, per_epoch * recipe.epochs, recipe)
            rows = order[:, i * batch : (i + 1) * batch]
            x = as_input(images[rows].flatten(0, 1)).unflatten(0, rows.shape)
            optimizer.zero_grad(set_to_none=True)
            vmap(loss)(weights, buffers, x, labels[rows]).sum().backward()
            optimizer.step()
    with torch.no_grad():
        for k, model in enumerate(models):
            model.load_state_dict({name: tensor[k] for name, tensor in (weights | buffers).items()})
            model.eval()
    return models


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("arch", RECIPES)
def test_stacked_beside_one_by_one(benchmark, arch, threads):
    options, recipe = RECIPES[arch]
    problem = SimpleNamespace(problem=partial(ImageProblem, shape=(1, 8, 8), mean=(0.3,), std=(0.37,)))
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (ROWS, 1, 8, 8), dtype=torch.uint8, generator=draw)
    labels = torch.randint(0, 10, (ROWS,), generator=draw)
    start = [Device().place(build(arch, options, 10, problem, seed=s)) for s in range(MODELS)]  # type: ignore[arg-type]
    sides = {"stacked": stacked, "one by one": one_by_one}
    # Two steps: later a ReLU on the edge may fall to either side by rounding. In double precision a whole epoch agrees
    # to 1e-15.
    few = [train(copy.deepcopy(start), images[:64], labels[:64], recipe) for train in sides.values()]
    for a, b in zip(*few, strict=True):
        torch.testing.assert_close(a.state_dict(), b.state_dict(), rtol=1e-4, atol=1e-5)
    wall, cpu = ({side: [] for side in sides} for _ in range(2))

    def turn() -> None:
        for side, train in list(sides.items())[:: -1 if len(wall["stacked"]) % 2 else 1]:
            models = copy.deepcopy(start)
            began = time.perf_counter(), time.process_time()
            train(models, images, labels, recipe)
            wall[side].append(time.perf_counter() - began[0])
            cpu[side].append(time.process_time() - began[1])

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        benchmark.pedantic(turn, rounds=TURNS, warmup_rounds=1)
    finally:
        torch.set_num_threads(before)
    ratios = {
        name: np.array(c["one by one"][1:]) / np.array(c["stacked"][1:]) for name, c in [("cpu", cpu), ("wall", wall)]
    }
    low, median, high = np.quantile(ratios["cpu"], [0.25, 0.5, 0.75])
    benchmark.extra_info |= {"ratio_cpu": median, "ratio": float(np.median(ratios["wall"])), "load": os.getloadavg()}
    sys.stdout.write(
        f"\n{arch}, {MODELS} models, {threads} thread(s): one by one / stacked = {median:.2f} by processor time "
        f"(quartiles {low:.2f} to {high:.2f}; by the clock {np.median(ratios['wall']):.2f}); one by one "
        f"{1e3 * np.median(wall['one by one'][1:]):.0f} ms an epoch; load average {os.getloadavg()[0]:.1f}\n"
    )
