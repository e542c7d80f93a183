"""Where learnt maps start: at random, or at a choice of the teacher's units."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import torch
from torch import Tensor, nn

from bench.models.permutation import PermutationSpec, sizes
from methods.squeezing.mapping import MakeMap, Pair, groups, pairs

Init = Literal["selection", "gaussian"]


def starting_maps(init: Init, student: nn.Module, teacher: nn.Module, generator: torch.Generator) -> MakeMap:
    """The initial matrices of this name."""
    if init == "selection":
        return one_hot(chosen_entries(student, teacher))
    embeddings = {f"{name}.weight" for name, module in student.named_modules() if isinstance(module, nn.Embedding)}
    return gaussian(generator, embeddings)


def gaussian(generator: torch.Generator, embeddings: Collection[str] = ()) -> MakeMap:
    """L with entries of N(0, 1 / t_out) and R of N(0, 1 / s_in), which keep activations at the teacher's variance.

    What is written along axis 1, by weights of `embeddings` [tokens, width], is mapped as what is written along axis 0.
    """

    def make(pair: Pair, axis: int, s: int, t: int) -> Tensor:
        reads = axis == 1 and pair.name.endswith("weight") and pair.name not in embeddings
        return torch.randn(s, t, generator=generator) / (s if reads else t) ** 0.5

    return make


def one_hot(chosen: dict[str, Tensor]) -> MakeMap:
    """Zeros and ones that pick the same entries in every tensor, so that the student starts as a sub-network."""

    def make(pair: Pair, axis: int, s: int, t: int) -> Tensor:  # noqa: ARG001
        group = pair.axes[axis]
        assert group is not None
        return nn.functional.one_hot(chosen[group.group], t).float()

    return make


@torch.no_grad()
def copy_subnetwork(student: nn.Module, teacher: nn.Module, chosen: dict[str, Tensor]) -> None:
    """Overwrite a student, running statistics included, with the chosen entries of the teacher."""
    own, values = student.state_dict(), teacher.state_dict()
    for pair in pairs(student, teacher):
        part = values[pair.source]
        for axis, group in enumerate(pair.axes):
            if group is not None:
                part = part.index_select(axis, chosen[group.group].to(part.device))
        own[pair.name].copy_(part)


def chosen_entries(student: nn.Module, teacher: nn.Module) -> dict[str, Tensor]:
    """Group of the student -> int64 [length of its axes], the entries of the teacher's axes that it starts from.

    They are the units of largest norm, over all tensors that hold them, in the teacher's order; of an attention head
    that is wider than the student's, the first entries.
    """
    counts = sizes(groups(student), student.state_dict())
    norms = unit_norms(groups(teacher), teacher.state_dict())
    chosen: dict[str, Tensor] = {}
    for pair in pairs(student, teacher):
        for group, source in zip(pair.axes, pair.source_axes, strict=True):
            if group is not None and source is not None and group.group not in chosen:
                units = norms[source.group].topk(counts[group.group]).indices.sort().values
                chosen[group.group] = (units[:, None] * source.block + torch.arange(group.block)).flatten()
    return chosen


def unit_norms(spec: PermutationSpec, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Group -> Euclidean norm (float64 [units]) of all weights of a unit; running statistics do not count."""
    squares = {group: torch.zeros(n, dtype=torch.float64) for group, n in sizes(spec, state).items()}
    for name, axes in spec.axes.items():
        if name.endswith(("running_mean", "running_var")):
            continue
        for k, axis in enumerate(axes):
            if axis is not None:
                entries = state[name].double().cpu().square().movedim(k, 0)
                squares[axis.group] += entries.reshape(-1, axis.block, entries[0].numel()).sum((1, 2))
    return {group: total.sqrt() for group, total in squares.items()}
