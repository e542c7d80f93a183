"""Networks around networks that a method may return: ensembles, networks side by side, a network with sparse adapters.

They are the listed forms of results that are more than one standard network (`bench.method_process.forms`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call


class Ensemble(nn.Module):
    """Logits [B, C]: per class the mean over the members that have seen it; over all members, if none has."""

    weights: Tensor

    def __init__(self, members: Sequence[nn.Module], seen: Tensor) -> None:
        """`seen`: bool [members, C]."""
        super().__init__()
        self.members = nn.ModuleList(members)
        who = torch.where(seen.any(0), seen, True).to(next(members[0].parameters()))
        self.register_buffer("weights", who / who.sum(0))

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] in [0, 1] -> logits [B, num_classes]."""
        return sum(w * member(x) for w, member in zip(self.weights, self.members, strict=True))


class Mixture(nn.Module):
    """Logs [B, C] of the mean of the members' probabilities."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs of the members -> logits [B, num_classes]."""
        logs = torch.stack([member(x).log_softmax(1) for member in self.members])
        return logs.logsumexp(0) - math.log(len(logs))


class SideBySide(nn.Module):
    """What the members put out, one behind the other and through a ReLU where one is wanted, read by one head."""

    def __init__(self, members: Sequence[nn.Module], head: nn.Module, *, relu: bool) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.head = head
        self.relu = relu

    def features(self, x: Tensor) -> Tensor:
        """Inputs of the members -> what the head reads, [B, sum of the members' widths]."""
        z = torch.cat([member(x) for member in self.members], dim=1)
        return z.relu() if self.relu else z

    def forward(self, x: Tensor) -> Tensor:
        """Inputs of the members -> logits [B, num_classes]."""
        return self.head(self.features(x))


class Overwritten(nn.Module):
    """A frozen network, and for some of its layers what is added to their weights."""

    def __init__(self, frozen: nn.Module, names: Sequence[str], density: float, generator: torch.Generator) -> None:
        super().__init__()
        self.frozen = frozen.requires_grad_(False).eval()
        self.names = tuple(names)
        """Of the parameters with an adapter."""
        self.values = nn.ParameterList()
        """Of each adapter, its entries."""
        for i, name in enumerate(self.names):
            weight = frozen.get_parameter(name)
            kept = torch.randperm(weight.numel(), generator=generator)[: max(1, round(density * weight.numel()))]
            self.register_buffer(f"places{i}", kept.to(weight.device))
            self.values.append(nn.Parameter(weight.new_zeros(len(kept))))

    def add(self, number: int, to: Tensor) -> Tensor:
        """A of one layer plus a tensor of its shape: a new tensor, which lies in memory as that one does."""
        places = torch.unravel_index(self.get_buffer(f"places{number}"), to.shape)
        return to.index_put(places, self.values[number], accumulate=True)

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] in [0, 1] -> logits [B, num_classes]."""
        new = {name: self.add(i, self.frozen.get_parameter(name)) for i, name in enumerate(self.names)}
        return functional_call(self.frozen, new, (x,))

    def train(self, mode: bool = True) -> Overwritten:
        """Whatever is asked for, the frozen network stays in eval mode."""
        super().train(mode)
        self.frozen.eval()
        return self
