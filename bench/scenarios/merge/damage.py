"""Experts that were damaged after tuning: what AXIS (arXiv:2508.19353) asks of merging methods' robustness."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from bench.models.layers import HEAD

Damage = Literal["none", "pruned", "noisy"]

PRUNED = 0.9
"""Share of a task vector's entries that pruning takes, tensor by tensor, the smallest first."""
NOISE = 0.5
"""Norm of the noise in units of the norm of what it is added to, tensor by tensor.

The paper prints 0.5 times the norm as the deviation of each entry. For a matrix of d weights that is noise of sqrt(d) /
2 times the source's norm, which nothing survives; here the whole noise has half the source's norm.
"""


@torch.no_grad()
def damaged(kind: Damage, init: nn.Module, experts: Sequence[nn.Module], generator: torch.Generator) -> list[nn.Module]:
    """The experts with their task vectors damaged: all of them pruned, or the first one noisy. Heads are left alone.

    Args:
        kind: `none` gives the experts themselves.
        init: where they were tuned from.
        experts: left as they are.
        generator: of the noise, on the CPU.
    """
    if kind == "none":
        return list(experts)
    start = dict(init.named_parameters())
    out = copy.deepcopy(list(experts))
    for expert in out if kind == "pruned" else out[:1]:
        for name, weight in expert.named_parameters():
            if not name.startswith(HEAD):
                delta = weight - start[name]
                changed = pruned(delta) if kind == "pruned" else noisy(delta, generator)
                weight.copy_(start[name] + changed)
    return out


def pruned(delta: Tensor) -> Tensor:
    """The largest entries by magnitude, 1 - PRUNED of them (at least one), the others zero."""
    kept = max(1, round((1 - PRUNED) * delta.numel()))
    rows = delta.abs().flatten().topk(kept).indices
    out = torch.zeros_like(delta)
    out.view(-1)[rows] = delta.flatten()[rows]
    return out


def noisy(delta: Tensor, generator: torch.Generator) -> Tensor:
    """With Gaussian noise whose expected squared norm is NOISE^2 times that of the entries."""
    noise = torch.randn(delta.shape, generator=generator).to(delta)
    return delta + noise * (NOISE * delta.norm() / delta.numel() ** 0.5)
