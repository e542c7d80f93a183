"""Merging a network in pieces: what a method says of itself so that checkpoints are merged without being in memory.

A piece is a merge of its own, a `MergeTask` whose networks have some of the tensors only. A method whose result for one
tensor hangs on that tensor alone is run on one piece after the other, as it is. A method with a statistic over whole
networks says how it looks at all pieces before it merges the first (`looks`).

    in_pieces("task-arithmetic", of="entries")

    @in_pieces("ties", of="entries")
    def ties(look, *, keep, scaling):       # the method's own hyperparameters
        ...                                 # look("ranking", function) calls function(task) on every piece
        return merge                        # merge(task) -> network, for every piece
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bench import registry
from bench.device import Device
from bench.scenarios.merge.scenario import MergeTask

Of = Literal["entries", "tensors", "network"]
"""What a piece may be: some rows of a tensor, a tensor, all of them at once."""

Merge = Callable[[MergeTask], nn.Module]
Look = Callable[[str, Callable[[MergeTask], None]], None]
"""`look(what, function)`: call the function on every piece, several at once; `what` is shown meanwhile."""

ROOT = "net."
"""Stands before every name, so that no part of a checkpoint is taken for the head or the normaliser of a standard
model: on disk everything is merged that was not asked to be kept."""
STATISTICS = ("running_mean", "running_var")
"""How buffers are called that hold statistics of the data: they are averaged, and are in no task vector."""


@dataclass(frozen=True)
class InPieces:
    """How a method merges checkpoints."""

    method: str
    of: Of
    base: bool
    """Whether it needs the network that all models were tuned from."""
    begin: Callable[..., Merge]
    """`begin(look, **hyperparameters)` -> what merges a piece."""


IN_PIECES: dict[str, InPieces] = {}
"""By the method's name."""


def in_pieces(method: str, *, of: Of, base: bool = True) -> Callable[[Callable[..., Merge]], Callable[..., Merge]]:
    """Say that a registered method merges checkpoints, and in which pieces.

    By itself the method is run on each piece. As a decorator it takes a function in its place, see the module.
    """

    def itself(_look: Look, **settings: Any) -> Merge:
        function = registry.METHODS.get(method).function
        return lambda task: function(task, **settings)

    def register(begin: Callable[..., Merge]) -> Callable[..., Merge]:
        IN_PIECES[method] = InPieces(method, of, base, begin)
        return begin

    register(itself)
    return register


def piece(
    method: str, init: Mapping[str, Tensor], parents: Sequence[Mapping[str, Tensor]], seed: int, draw: int
) -> MergeTask:
    """The task of merging these tensors.

    Args:
        method: that is given it.
        init: name -> the base's tensor, and where there is no base the first model's.
        parents: the same of every model.
        seed: what the user chose.
        draw: seeds this piece's generator.
    """
    attributes = {
        "device": torch.device("cpu"),
        "compute": Device(),
        "seed": seed,
        "generator": torch.Generator().manual_seed(draw),
        "num_classes": 0,
        "input_shape": (),
        "progress": lambda _done, _total: None,
        "init": network(init),
        "parents": [network(parent) for parent in parents],
        "heads": [],
    }
    return MergeTask(attributes, {"weights"}, method)


def network(tensors: Mapping[str, Tensor]) -> nn.Module:
    """A module that holds these tensors under these names, and computes nothing.

    Modules are filled by their tables, since a name in a checkpoint may be that of a method of `nn.Module`.
    """
    root = nn.Module()
    for name, tensor in tensors.items():
        *path, leaf = (ROOT + name).split(".")
        owner = root
        for part in path:
            owner = owner._modules.setdefault(part, nn.Module())  # type: ignore[assignment]
        if leaf in STATISTICS:
            owner._buffers[leaf] = tensor
        else:
            owner._parameters[leaf] = nn.Parameter(tensor, requires_grad=False)
    return root


def tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """Name -> tensor of a network that was made by `network`, or by a method out of such."""
    return {name.removeprefix(ROOT): tensor.detach() for name, tensor in network.state_dict().items()}
