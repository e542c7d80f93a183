"""A small trained network on digits, and tasks made of it that grant what a method declares and nothing else."""

import copy
import functools
import importlib
import pkgutil
from collections.abc import Callable

import pytest
import torch
from torch import nn

import methods.unlearning
from bench import registry
from bench.data import load
from bench.data.spec import Dataset, DataSpec
from bench.device import Device
from bench.models import build
from bench.models.train import fit
from bench.scenarios.unlearn.task import UnlearnTask
from bench.schema.recipe import Recipe
from bench.task.task import Task, grant

for _module in pkgutil.iter_modules(methods.unlearning.__path__, "methods.unlearning."):
    importlib.import_module(_module.name)

RECIPE = Recipe(epochs=8, batch_size=64, peak_lr=0.1, augment="shift", label_smoothing=0.1)
FORGOTTEN = 3
DATA = DataSpec(name="digits", train=500, validation=150)


@functools.cache
def trained() -> nn.Module:
    """An MLP with BatchNorm: statistics to spoil, and a second or so to train."""
    dataset = load(DATA)
    model = build("mlp", {"width": 48, "depth": 2, "norm": "batch"}, 10, dataset, seed=0)
    generator = torch.Generator().manual_seed(0)
    fit(model, dataset.train.inputs, dataset.train.labels, RECIPE, generator=generator, device=Device())
    return model


@pytest.fixture
def dataset() -> Dataset:
    """What the network is trained on, and what validates it."""
    return load(DATA)


@pytest.fixture
def original() -> nn.Module:
    return copy.deepcopy(trained())


@pytest.fixture
def make_task() -> Callable[..., Task]:
    """`make_task("laf")` is the task that the method gets; the request is class 3 unless rows are named."""

    def make(method: str, *, rows: torch.Tensor | None = None, seed: int = 0, **replaced: object) -> Task:
        train, validation = load(DATA).train, load(DATA).validation
        forget = train.labels == FORGOTTEN if rows is None else torch.isin(torch.arange(len(train)), rows)
        given = {
            "device": torch.device("cpu"),
            "compute": Device(),
            "seed": seed,
            "generator": torch.Generator().manual_seed(seed),
            "num_classes": 10,
            "input_shape": (1, 8, 8),
            "progress": lambda done, total: None,
            "model": copy.deepcopy(trained()),
            "student": build("mlp", {"width": 48, "depth": 2, "norm": "batch"}, 10, load(DATA), seed=7),
            "retain_inputs": train.inputs[~forget],
            "retain_labels": train.labels[~forget],
            "forget_inputs": train.inputs[forget],
            "forget_labels": train.labels[forget],
            "forget_class": FORGOTTEN if rows is None else None,
            "validation_inputs": validation.inputs,
            "validation_labels": validation.labels,
            "recipe": RECIPE,
        } | replaced
        torch.manual_seed(seed)
        providers = {name: functools.partial(lambda value: value, value) for name, value in given.items()}
        return grant(UnlearnTask, providers, registry.METHODS.get(method).access, method)

    return make


@pytest.fixture
def accuracy() -> Callable[..., float]:
    """Share of validation images of class 3 (`forgotten=True`) or of the others that a model gets right."""

    def measure(model: nn.Module, *, forgotten: bool = False) -> float:
        split = load(DATA).validation
        rows = (split.labels == FORGOTTEN) == forgotten
        with torch.inference_mode():
            hits = model.eval()(split.inputs[rows].float() / 255).argmax(1) == split.labels[rows]
        return float(hits.double().mean())

    return measure


@pytest.fixture
def same() -> Callable[..., bool]:
    """Whether two state dicts are equal to the last bit, in the entries whose name holds `part`."""

    def compare(one: nn.Module, other: nn.Module, part: str = "") -> bool:
        a, b = one.state_dict(), other.state_dict()
        return all(name in b and torch.equal(a[name], b[name]) for name in a if part in name)

    return compare
