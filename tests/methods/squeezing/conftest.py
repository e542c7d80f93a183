"""Pairs of a wide and a narrow network, and tasks made of them."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from bench.data import load, select
from bench.data.images.kind import ImageProblem
from bench.data.spec import DataSpec, Rows
from bench.device import Device
from bench.models import build
from bench.models.train import fit
from bench.scenarios.squeeze import SqueezeTask
from bench.schema.recipe import Recipe
from bench.task.task import Task, grant

DATA = DataSpec(name="digits", train=600, validation=200)
RECIPE = Recipe(epochs=4, batch_size=32, peak_lr=0.05, weight_decay=0.0, augment="none")
OPTIONS = {
    "mlp": {"depth": 3},
    "mlp-batch": {"depth": 2, "norm": "batch"},
    "resnet8-layer": {"norm": "layer"},
    "vit": {},
}


def network(name: str, width: int, seed: int = 0, **options: object) -> nn.Module:
    """An untrained network in eval mode whose norms and statistics are away from their initial values."""
    problem = SimpleNamespace(problem=functools.partial(ImageProblem, shape=(1, 8, 8), mean=(0.3,), std=(0.37,)))
    own = {"width": width, **OPTIONS.get(name, {}), **options}
    model = build(name.partition("-")[0], own, 10, problem, seed=seed).eval()  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(seed)
    for entry, tensor in model.state_dict().items():
        if tensor.is_floating_point() and tensor.ndim == 1:
            noise = torch.rand(tensor.shape, generator=generator)
            tensor.copy_(0.5 + noise if entry.endswith(("weight", "var")) else noise - 0.5)
    return model


@pytest.fixture
def make_network() -> Callable[..., nn.Module]:
    return network


@pytest.fixture
def images() -> torch.Tensor:
    """Float images in [0, 1] [20, 1, 8, 8]."""
    return torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@functools.cache
def trained(width: int, rows: float = 1.0) -> nn.Module:
    """An MLP with BatchNorm that classifies digits, trained in about a second."""
    model, train = build("mlp", {"width": width, "depth": 2, "norm": "batch"}, 10, load(DATA), seed=1), load(DATA).train
    index = select(Rows(kind="random", share=rows), train.labels)
    generator = torch.Generator().manual_seed(0)
    fit(model, train.inputs[index], train.labels[index], RECIPE, generator=generator, device=Device())
    return model


@pytest.fixture
def make_task() -> Callable[..., Task]:
    """A task of an MLP of width 64 that is to be squeezed into width 8."""

    def make(access: tuple[str, ...] = ("weights", "labels"), recipe: Recipe = RECIPE) -> Task:
        torch.manual_seed(0)
        dataset = load(DATA)
        providers = {
            "device": lambda: torch.device("cpu"),
            "compute": Device,
            "seed": lambda: 0,
            "generator": lambda: torch.Generator().manual_seed(0),
            "num_classes": lambda: 10,
            "input_shape": lambda: (1, 8, 8),
            "progress": lambda: lambda done, total: None,
            "teacher": lambda: copy.deepcopy(trained(64)).requires_grad_(False),
            "small": lambda: copy.deepcopy(trained(8, 0.3)),
            "student": lambda: build("mlp", {"width": 8, "depth": 2, "norm": "batch"}, 10, dataset, seed=2),
            "inputs": lambda: dataset.train.inputs,
            "labels": lambda: dataset.train.labels,
            "recipe": lambda: recipe,
        }
        return grant(SqueezeTask, providers, access, "test")

    return make


@pytest.fixture
def accuracy() -> Callable[[nn.Module], float]:
    """Per cent of right answers on the validation images."""
    part = load(DATA).validation

    def measure(model: nn.Module) -> float:
        with torch.no_grad():
            z = model(part.inputs.float() / 255)
        return 100 * float((z.argmax(1) == part.labels).double().mean())

    return measure
