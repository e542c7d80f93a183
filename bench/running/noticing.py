"""What is noticed of a result before it is scored: boards show it as a mark, and do not rank the row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

CODE, LARGER, GIVEN = "code", "larger", "given"
"""A result is (in part) code that only the method's process has; it has more parameters than the board's network; it
is a network that was given, unchanged."""
MATERIAL = ("student", "model", "parents", "experts", "init")
"""Attributes of tasks whose networks results are made of: who returns one of them unchanged returns a reference of the
board. Others (a teacher) hold what the result is to become."""
SLACK = 1.01
"""A result may be so much larger: a further class in the head, a scale a layer."""


def noticed(result: object, given: Mapping[str, Any], size: int | None) -> list[str]:
    """What is to be marked of a result.

    Args:
        result: as the method returned it.
        given: attribute of the task -> value, the judge's copies.
        size: parameters of the network that the board wants; None where it wants none of a certain size.
    """
    from bench.method_process.host import Code
    from bench.task.meter import models_in

    parts = list(result) if isinstance(result, list | tuple) else [result]
    found = [CODE] if any(isinstance(part, Code) for part in parts) else []
    networks = [network for number, part in enumerate(parts) for _, network in models_in(str(number), part)]
    if size is not None and any(_deployed(network) > SLACK * size for network in networks):
        found.append(LARGER)
    others = [n for name, value in given.items() if name not in MATERIAL for _, n in models_in(name, value)]
    if any(_same(network, other) for network in networks for other in others):
        found.append(GIVEN)
    return found


def _parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def _deployed(network: nn.Module) -> int:
    """Parameters that are not zero; those of sparse adapters can be added to what they adapt, and count with it."""
    from bench.models.compositions import Overwritten

    adapters = {id(p) for part in network.modules() if isinstance(part, Overwritten) for p in part.values}
    return sum(int(p.detach().count_nonzero()) for p in network.parameters() if id(p) not in adapters)


def _same(network: nn.Module, other: nn.Module) -> bool:
    """Whether two networks have the same parameters, to the last digit, under whatever names."""
    import torch

    pairs = zip(_flat(network), _flat(other), strict=False)
    equal = all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)
    return equal and _parameters(network) == _parameters(other)


def _flat(network: nn.Module) -> Iterator[Any]:
    return (p.detach().cpu() for p in network.parameters())
