"""An initialisation and its experts, as our methods and as the packages beside us take them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.device import Device
from bench.scenarios.merge.scenario import MergeTask
from methods.merging.dare import dare

SEED = 7
"""Of a task's generator."""

State = dict[str, Tensor]


class Network(nn.Module):
    """What is merged, `body`, and a head, which is not."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(8, 2)


class Zoo:
    """One initialisation of `body`, and experts whose every weight is that many random steps away; in float64."""

    def __init__(self, body: nn.Module, deltas: list[Callable[[Tensor], Tensor]]) -> None:
        self.init = Network(body).double().eval().requires_grad_(False)
        self.parents = [copy.deepcopy(self.init) for _ in deltas]
        for parent, delta in zip(self.parents, deltas, strict=True):
            for p in parent.parameters():
                p.add_(delta(p))

    def task(self, **more: Any) -> MergeTask:
        """What our methods are given."""
        given = {
            "init": self.init,
            "parents": self.parents,
            "device": torch.device("cpu"),
            "compute": Device(),
            "generator": torch.Generator().manual_seed(SEED),
            "progress": lambda done, total: None,
        }
        return MergeTask(given | more, {"weights", *more}, "peer")

    def states(self) -> list[State]:
        """The bodies' weights, the initialisation's first."""
        return [model.body.state_dict() for model in (self.init, *self.parents)]

    def vectors(self) -> list[State]:
        """The bodies' task vectors."""
        base, *experts = self.states()
        return [{name: expert[name] - base[name] for name in base} for expert in experts]

    def pool(self) -> dict[str, nn.Module]:
        """Copies of the bodies for algorithms of fusion-bench, which overwrite them."""
        models = {"_pretrained_": self.init} | {f"expert-{t}": parent for t, parent in enumerate(self.parents)}
        return {name: copy.deepcopy(model.body).requires_grad_(True) for name, model in models.items()}


def body_of(result: Any) -> State:
    """The body's weights in whatever a side returned."""
    if isinstance(result, Network):
        result = result.body
    entries = result.state_dict() if isinstance(result, nn.Module) else result
    return {name: value.detach() for name, value in entries.items()}


def equal(mine: Any, theirs: Any, tolerance: float = 1e-5) -> None:
    mine, theirs = body_of(mine), body_of(theirs)
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        torch.testing.assert_close(value, theirs[name].to(value.dtype), rtol=0, atol=tolerance, msg=name)


def random_steps(seed: int) -> Callable[[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda p: 0.1 * torch.randn(p.shape, generator=generator, dtype=p.dtype)


@pytest.fixture
def make_zoo() -> Callable[..., Zoo]:
    """`make_zoo(body, deltas)`: a transformer's layers and three random experts unless told otherwise."""

    def make(body: nn.Module | None = None, deltas: list[Callable[[Tensor], Tensor]] | None = None) -> Zoo:
        torch.manual_seed(0)
        if body is None:
            body = nn.Sequential(*(nn.TransformerEncoderLayer(24, 4, 48, batch_first=True) for _ in range(2)))
        return Zoo(body, deltas or [random_steps(seed) for seed in (1, 2, 3)])

    return make


@pytest.fixture
def zoo(make_zoo: Callable[..., Zoo]) -> Zoo:
    return make_zoo()


@pytest.fixture
def masks(zoo: Zoo) -> list[State]:
    """What our DARE keeps of each expert of `zoo` when it drops half, told from merges of one expert alone."""
    base, generator, drawn = zoo.states()[0], torch.Generator().manual_seed(SEED), []
    for parent in zoo.parents:
        alone = body_of(dare(zoo.task(parents=[parent], generator=generator), drop=0.5, scaling=1.0))
        drawn.append({name: (alone[name] != base[name]).double() for name in base})
    return drawn


@pytest.fixture
def agree() -> Callable[..., None]:
    """`agree(mine, theirs)`: networks or tensors by name that are equal to 1e-5."""
    return equal


@pytest.fixture
def weights() -> Callable[[Any], State]:
    """`weights(result)`: the merged weights in what either side returned."""
    return body_of
