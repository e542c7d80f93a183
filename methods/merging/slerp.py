"""Spherical linear interpolation (SLERP). Animating Rotation with Quaternion Curves. Shoemake. SIGGRAPH 1985.

Two networks are joined by the arc between them, tensor by tensor: with the angle w between two tensors a and b, read as
vectors, sin((1 - t) w) / sin(w) a + sin(t w) / sin(w) b. Where one of the two is zero, or they lie on one line, it is
the straight line. Running statistics of normalisation layers are no directions: theirs is always the straight line.

As practised in merging tools, where the name stands for interpolation of each tensor by itself and lengths are not
normalised. mergekit takes the straight line wherever the cosine of the angle is beyond 0.9995; here the arc is taken as
far as its sine can be told from zero, in float64. Fine-tunes of one initialisation lie so close that the two agree.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bench import Skip, method
from bench.scenarios.fuse.scenario import FuseTask
from bench.scenarios.merge.scenario import MergeTask
from bench.types import Fraction
from methods.fusion.state import parent_entries, result

LINE = 1e-6
"""Sine of the angle below which the arc is the straight line: they differ by less than 1e-12 of its length."""


@method(family="merging", scenario=("fuse", "merge"), access={"weights"}, paper="doi:10.1145/325165.325242", year=1985)
def slerp(task: FuseTask | MergeTask, *, t: Fraction = 0.5) -> nn.Module:
    """The point at `t` of the arc between two networks, each tensor by itself.

    Args:
        t: 0 gives the first network, 1 the second.
    """
    if len(task.parents) != 2:
        raise Skip(f"an arc joins two networks, and there are {len(task.parents)}")
    first, second = parent_entries(task)
    weights = {name for name, _ in task.parents[0].named_parameters(remove_duplicate=False)}
    return result(
        task, {name: (arc if name in weights else line)(entry, second[name], t) for name, entry in first.items()}
    )


def arc(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The point at t of the arc from a to b, tensors of one shape; float64."""
    x, y = a.to(torch.float64, copy=True), b.double()
    lengths = x.norm() * y.norm()
    cosine = (torch.dot(x.flatten(), y.flatten()) / lengths).clamp(-1, 1) if lengths > 0 else torch.ones_like(lengths)
    angle = float(cosine.acos())
    if math.sin(angle) < LINE:
        return line(a, b, t)
    shares = math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)
    return x.mul_(shares[0]).add_(y, alpha=shares[1])


def line(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The point at t of the straight line from a to b; float64."""
    return a.to(torch.float64, copy=True).mul_(1 - t).add_(b, alpha=t)
