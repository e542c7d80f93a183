"""Model Fusion via Optimal Transport.

Sidak Pal Singh and Martin Jaggi, NeurIPS 2020, arXiv:1910.05653.

Layer by layer, each unit of one network is matched to units of another by optimal transport, and its incoming weights,
and what later layers read of it, are moved along; then the weights are averaged. The cost between units is the
distance of their incoming weights (`ot-fusion`) or of their pre-activations on some images (`ot-fusion-acts`).

Different from the paper and its code (sidak/otfusion), which have neither biases nor norms:
- biases belong to the incoming weights; norms, and BatchNorm's running statistics, are moved as biases are;
- all layers that write to one residual stream share one map, from the sum of their costs. In forward order: by
  weights a layer counts only if its inputs are aligned by then. `residual = "averaged"` follows the code's
  `handle-skips` instead, to rounding at projection shortcuts. At identity shortcuts the code lets the map of the branch
  replace that of the stream, so that what goes round the branch is read by a map that it was not moved by; here both
  maps are averaged there too. Beside the code (a ResNet of 16 layers, same weights): 10 layers agree to 1e-6, the 6
  that read or write behind identity shortcuts differ by up to 0.08 to 0.3;
- the head stays in place (the code's `skip-last-layer`): with skewed classes its units must not be mixed;
- parents of other widths are aligned to the first, whose shape the result has. What later layers read is then too
  small by the published rule (`width_mode`);
- with more than two parents, all others are aligned to the first, then everything is averaged;
- Sinkhorn works in the log domain on costs divided by their mean, and so `reg` and `reg_m` count in mean costs (the
  code: 1e-2 and 1e-3 of raw costs). Unbalanced, as in the code, every unit weighs one, but important ones weigh one on
  average (the code: their raw norms). The code has unbalanced transport for activations only.
Defaults are the code's sample commands: exact, uniform masses, distances not squared, 200 images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from bench import Skip, method
from bench.models.permutation import PermutationSpec
from bench.scenarios.fuse.scenario import FuseTask
from bench.types import Count, Fraction, Rate, Weight
from methods.fusion.alignment import Cost, Map, Residual, WidthMode, averaged_maps, group_maps, transport
from methods.fusion.coupling import plan
from methods.fusion.state import State, averaged, own_state, permutation_spec
from methods.fusion.unit_costs import Importance, activation_cost, importance, weight_cost


@dataclass(frozen=True)
class Transport:
    """How units are coupled; the fields are the parameters of `ot_fusion`."""

    reg: float = 0.0
    reg_m: float | None = None
    importance: Importance = "uniform"
    residual: Residual = "group"
    width_mode: WidthMode = "published"


@method(family="fusion", scenario="fuse", access={"weights"}, paper="arXiv:1910.05653", year=2020)
def ot_fusion(
    task: FuseTask,
    *,
    reg: Weight = 0.0,
    reg_m: Rate | None = None,
    importance: Importance = "uniform",
    eta: Fraction | None = None,
    unit_norm: bool = False,
    residual: Residual = "group",
    width_mode: WidthMode = "published",
) -> nn.Module:
    """Align units by optimal transport of their incoming weights, then average.

    Args:
        reg: entropic regularisation (Sinkhorn) in units of the mean cost; 0 transports exactly.
        reg_m: unbalanced transport: what it costs that units have not their mass. All have it, if unset.
        importance: mass of a unit: the same for all, or the norm of its incoming weights.
        eta: weight of the first parent, to which the others are aligned; they share the rest. 1 / parents, if unset.
        unit_norm: compare directions of incoming weights only.
        residual: one map for all layers of a residual stream, or one a layer, averaged where branches are summed.
        width_mode: what is read of the units of parents of another width: as published, or without loss.
    """
    how = Transport(reg, reg_m, importance, residual, width_mode)
    return averaged(task, by_weights(task, how, unit_norm), shares(len(task.parents), eta))


@method(family="fusion", scenario="fuse", access={"weights", "unlabeled"}, paper="arXiv:1910.05653", year=2020)
def ot_fusion_acts(
    task: FuseTask,
    *,
    samples: Count = 200,
    reg: Weight = 0.0,
    reg_m: Rate | None = None,
    importance: Importance = "uniform",
    eta: Fraction | None = None,
    residual: Residual = "group",
    width_mode: WidthMode = "published",
) -> nn.Module:
    """Align units by optimal transport of their pre-activations on unlabelled images, then average.

    Args:
        samples: images that are looked at.
        reg: entropic regularisation (Sinkhorn) in units of the mean cost; 0 transports exactly.
        reg_m: unbalanced transport: what it costs that units have not their mass. All have it, if unset.
        importance: mass of a unit: the same for all, or the norm of its incoming weights.
        eta: weight of the first parent, to which the others are aligned; they share the rest. 1 / parents, if unset.
        residual: one map for all layers of a residual stream, or one a layer, averaged where branches are summed.
        width_mode: what is read of the units of parents of another width: as published, or without loss.
    """
    how = Transport(reg, reg_m, importance, residual, width_mode)
    return averaged(task, by_activations(task, how, samples), shares(len(task.parents), eta))


def by_weights(task: FuseTask, how: Transport, unit_norm: bool = False) -> list[State]:
    """The first parent as it is, and the others aligned to it by their incoming weights."""
    spec, (anchor, *others) = parents_of_any_width(task)
    aligned = []
    for done, other in enumerate(others, 1):
        aligned.append(align(other, anchor, spec, weight_cost(other, anchor, spec, unit_norm), how))
        task.progress(done, len(others))
    return [anchor, *aligned]


def by_activations(task: FuseTask, how: Transport, samples: int) -> list[State]:
    """The first parent as it is, and the others aligned to it by what their units do on unlabelled images."""
    spec, (anchor, *others) = parents_of_any_width(task)
    costs = activation_cost(task.parents, task.unlabeled[:samples], spec, task.device)
    aligned = []
    for done, (other, cost) in enumerate(zip(others, costs, strict=True), 1):
        aligned.append(align(other, anchor, spec, cost, how))
        task.progress(done, len(others))
    return [anchor, *aligned]


def align(state: State, anchor: State, spec: PermutationSpec, cost: Cost, how: Transport) -> State:
    """A network with its units moved to where `cost` says that the anchor's are."""

    def solve(costs: Tensor, layers: Sequence[str]) -> Map:
        masses = None
        if how.importance != "uniform":
            mine, theirs = (importance(s, layers, spec, how.importance) for s in (state, anchor))
            masses = mine, theirs
        return Map.of(plan(costs, how.reg, masses, how.reg_m), how.width_mode)

    walk = group_maps if how.residual == "group" else averaged_maps
    return transport(state, spec, walk(spec, cost, solve))


def parents_of_any_width(task: FuseTask) -> tuple[PermutationSpec, list[State]]:
    """The groups of units, and the parents' entries, of the same names and of the same size along all other axes.

    Raises:
        Skip: they differ in more than width.
    """
    spec, *specs = [permutation_spec(parent) for parent in task.parents]
    anchor, *others = [own_state(parent) for parent in task.parents]
    for number, (state, own) in enumerate(zip(others, specs, strict=True), 1):
        for name in state.keys() ^ anchor.keys():
            raise Skip(f"only one of parents 0 and {number} has {name}; nothing but their widths may differ")
        for name in anchor:
            where = f"parents 0 and {number} differ at {name}"
            if spec.axes.get(name) != own.axes.get(name):
                raise Skip(f"{where}: units of another size (attention heads?); only their number may differ")
            fixed = [axis is None for axis in spec.axes.get(name, (None,) * state[name].ndim)]
            for size, other, stays in zip(anchor[name].shape, state[name].shape, fixed, strict=True):
                if stays and size != other:
                    raise Skip(f"{where}: {size} and {other} entries along an axis that has no units")
    return spec, [anchor, *others]


def shares(parents: int, eta: float | None) -> list[float] | None:
    """eta for the first and an equal part of the rest for each of the others; None, equal parts, if `eta` is unset."""
    return None if eta is None else [eta, *[(1 - eta) / (parents - 1)] * (parents - 1)]
