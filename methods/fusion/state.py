"""What every fusion does around its own idea: read the parents' weights, combine entries, build the result."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bench import Skip
from bench.models.permutation import PermutationSpec
from bench.scenarios.fuse import FuseTask
from bench.scenarios.merge import MergeTask

State = dict[str, Tensor]
"""Name in `state_dict()` -> float64 tensor. Only what is averaged: parameters and float buffers."""

HEAD = "head."


def parent_states(task: FuseTask | MergeTask) -> list[State]:
    """Everything of every parent that a result may be made of, in float64.

    In `merge` heads belong to their tasks and are left out; integer buffers are never averaged and are left out too.

    Raises:
        Skip: the parents have entries of different names or shapes.
    """
    states = [float_state(parent) for parent in task.parents]
    if isinstance(task, MergeTask):
        states = [{name: w for name, w in state.items() if not name.startswith(HEAD)} for state in states]
    for number, state in enumerate(states):
        for name in state.keys() | states[0].keys():
            if name not in state or name not in states[0] or state[name].shape != states[0][name].shape:
                raise Skip(f"parents 0 and {number} are not of one architecture: they differ at {name}")
    return states


def float_state(model: nn.Module) -> State:
    """All floating-point entries of a model's state, in float64."""
    return {name: w.detach().double() for name, w in model.state_dict().items() if w.is_floating_point()}


def result(task: FuseTask | MergeTask, state: Mapping[str, Tensor]) -> nn.Module:
    """A network with these entries; whatever else it has (integer buffers, in `merge` the head) is copied.

    In `fuse` it is copied from the first parent, in `merge` from the initialisation.
    """
    model = copy.deepcopy(task.init if isinstance(task, MergeTask) else task.parents[0])
    own = model.state_dict()
    with torch.no_grad():
        for name, value in state.items():
            own[name].copy_(value)
    return model


def mean(states: Sequence[Mapping[str, Tensor]], weights: Sequence[float] | None = None) -> State:
    """Entry by entry sum_i w_i state_i; w_i = 1 / n, if unset.

    Equal entries come out unchanged: exactly, if they are float32 values held in float64.
    """
    n = len(states)
    if weights is None:
        return {name: torch.stack([s[name] for s in states]).sum(0) / n for name in states[0]}
    terms = list(zip(states, weights, strict=True))
    return {name: torch.stack([w * s[name] for s, w in terms]).sum(0) for name in states[0]}


def permutation_spec(model: nn.Module) -> PermutationSpec:
    """Which units of the model may be reordered.

    Raises:
        Skip: an architecture of the user's own that does not say so.
    """
    spec = getattr(model, "permutation_spec", None)
    if spec is None:
        raise Skip(f"{type(model).__name__} has no permutation_spec(), which names the units that may be reordered")
    return spec()
