"""Model Fusion via Optimal Transport.

Sidak Pal Singh and Martin Jaggi, NeurIPS 2020, arXiv:1910.05653.

Layer by layer, each unit of one network is matched to units of another by optimal transport, and its incoming weights,
and what later layers read of it, are moved along; then the weights are averaged. The cost between units is the
distance of their incoming weights (`ot-fusion`) or of their pre-activations on some images (`ot-fusion-acts`).

Different from the paper and its code (sidak/otfusion), which have neither biases nor norms:
- biases belong to the incoming weights; norms, and BatchNorm's running statistics, are moved as biases are;
- all layers that write to one residual stream share one map, from the sum of their costs. In forward order: by
  weights a layer counts only if its inputs are aligned by then. `residual = "averaged"` follows the code instead;
- the head stays in place (the code's `skip-last-layer`): with skewed classes its units must not be mixed;
- with more than two parents, all others are aligned to the first, then everything is averaged;
- Sinkhorn works in the log domain on costs divided by their mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import nn

from bench import method
from bench.models.permutation import PermutationSpec
from bench.scenarios.fuse import FuseTask
from bench.types import Count, Fraction, Weight
from methods.fusion.activations import preactivations
from methods.fusion.alignment import Cost, Residual, activation_cost, averaged_maps, group_maps, transport, weight_cost
from methods.fusion.coupling import coupling
from methods.fusion.state import State, mean, parent_states, permutation_spec, result


@method(family="fusion", scenario="fuse", access={"weights"}, paper="arXiv:1910.05653", year=2020)
def ot_fusion(
    task: FuseTask,
    *,
    reg: Weight = 0.0,
    eta: Fraction | None = None,
    unit_norm: bool = False,
    residual: Residual = "group",
) -> nn.Module:
    """Align units by optimal transport of their incoming weights, then average.

    Args:
        reg: entropic regularisation (Sinkhorn) in units of the mean cost; 0 transports exactly.
        eta: weight of the first parent, to which the others are aligned; they share the rest. 1 / parents, if unset.
        unit_norm: compare directions of incoming weights only.
        residual: one map for all layers of a residual stream, or one a layer, averaged where branches are summed.
    """
    spec = permutation_spec(task.parents[0])
    anchor, *others = parent_states(task)
    aligned = []
    for done, other in enumerate(others, 1):
        aligned.append(align(other, spec, weight_cost(other, anchor, spec, unit_norm), reg, residual))
        task.progress(done, len(others))
    return result(task, fused(anchor, aligned, eta))


@method(family="fusion", scenario="fuse", access={"weights", "unlabeled"}, paper="arXiv:1910.05653", year=2020)
def ot_fusion_acts(
    task: FuseTask,
    *,
    samples: Count = 200,
    reg: Weight = 0.0,
    eta: Fraction | None = None,
    residual: Residual = "group",
) -> nn.Module:
    """Align units by optimal transport of their pre-activations on unlabelled images, then average.

    Args:
        samples: images that are looked at.
        reg: entropic regularisation (Sinkhorn) in units of the mean cost; 0 transports exactly.
        eta: weight of the first parent, to which the others are aligned; they share the rest. 1 / parents, if unset.
        residual: one map for all layers of a residual stream, or one a layer, averaged where branches are summed.
    """
    spec = permutation_spec(task.parents[0])
    layers = [layer for group in spec.order for layer in spec.writers[group]]
    seen = [preactivations(parent, task.unlabeled[:samples], layers, task.device) for parent in task.parents]
    anchor, *others = parent_states(task)
    aligned = []
    for done, (other, acts) in enumerate(zip(others, seen[1:], strict=True), 1):
        aligned.append(align(other, spec, activation_cost(acts, seen[0], spec), reg, residual))
        task.progress(done, len(others))
    return result(task, fused(anchor, aligned, eta))


def align(state: State, spec: PermutationSpec, cost: Cost, reg: float, residual: Residual = "group") -> State:
    """A network with its units moved to where `cost` says that another's are."""
    walk = group_maps if residual == "group" else averaged_maps
    return transport(state, spec, walk(spec, cost, partial(coupling, reg=reg)))


def fused(anchor: State, aligned: Sequence[State], eta: float | None = None) -> State:
    """eta * anchor + (1 - eta) * mean of the aligned; the mean of all, if `eta` is unset."""
    if eta is None:
        return mean([anchor, *aligned])
    rest = (1 - eta) / len(aligned)
    return mean([anchor, *aligned], [eta, *[rest] * len(aligned)])
