"""Tiny networks and stand-in tasks for tests of fusion methods."""

import copy
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from bench.data.images.kind import ImageProblem
from bench.device import Device
from bench.models import build
from bench.models.permutation import permute, random_permutations
from bench.scenarios.fuse.path import Walk
from bench.scenarios.fuse.scenario import FuseTask

SHAPE = (1, 8, 8)
NETWORKS = {
    "mlp": ("mlp", {"width": 9, "depth": 3}),
    "mlp-batch": ("mlp", {"width": 9, "depth": 2, "norm": "batch"}),
    "vgg": ("vgg", {"width": 3}),
    "resnet-batch": ("resnet14", {"width": 3}),
    "resnet-layer": ("resnet8", {"width": 4, "norm": "layer"}),
    "vit": ("vit", {"width": 8, "depth": 2, "heads": 4}),
}


def build_network(name: str, seed: int = 0, num_classes: int = 4) -> nn.Module:
    """A float64 network with every parameter and statistic away from its initial value, as after training."""
    arch, options = NETWORKS[name]
    problem = SimpleNamespace(problem=partial(ImageProblem, shape=SHAPE, mean=(0.4,), std=(0.3,)))
    model = build(arch, options, num_classes, problem, seed=seed).double().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed + 100)
    for entry, tensor in model.state_dict().items():
        if tensor.is_floating_point() and tensor.ndim == 1:
            noise = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
            tensor.copy_(0.5 + noise if entry.endswith(("weight", "var")) else noise - 0.5)
    return model


@pytest.fixture(params=NETWORKS)
def network_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def network() -> Callable[..., nn.Module]:
    return build_network


@pytest.fixture
def wide_network() -> Callable[..., nn.Module]:
    """A network of twice the width, with twice the heads."""

    def make(name: str, **more: Any) -> nn.Module:
        arch, options = NETWORKS[name]
        problem = SimpleNamespace(problem=partial(ImageProblem, shape=SHAPE, mean=(0.4,), std=(0.3,)))
        options = options | {option: 2 * options[option] for option in ("width", "heads") if option in options} | more
        return build(arch, options, 4, problem, seed=5).double().eval().requires_grad_(False)

    return make


@pytest.fixture
def shuffled() -> Callable[..., nn.Module]:
    """A copy of a network with its units in random order."""

    def shuffle(model: nn.Module, seed: int = 0) -> nn.Module:
        spec, state = model.permutation_spec(), model.state_dict()
        perms = random_permutations(spec, state, torch.Generator().manual_seed(seed))
        other = copy.deepcopy(model)
        other.load_state_dict(permute(state, spec, perms))
        return other

    return shuffle


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(0, 256, (12, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def x(images: torch.Tensor) -> torch.Tensor:
    return images.double() / 255


@pytest.fixture
def fuse_task(images: torch.Tensor) -> Callable[..., FuseTask]:
    """A task of these parents, with everything granted that is passed."""

    def make(parents: list[nn.Module], **more: Any) -> FuseTask:
        common = {
            "parents": parents,
            "unlabeled": images,
            "device": torch.device("cpu"),
            "compute": Device(),
            "generator": torch.Generator().manual_seed(0),
            "progress": lambda done, total: None,
            "path": Walk(parents).path(),
        }
        return FuseTask(common | more, {"weights", "unlabeled", *more}, "test")

    return make
