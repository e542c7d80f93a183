"""The parents with their units brought together, by the name of the method that does so, at that method's defaults."""

from __future__ import annotations

from typing import Literal

from bench.scenarios.fuse.scenario import FuseTask
from methods.fusion import git_rebasin, git_rebasin_acts, ot_fusion
from methods.fusion.state import State, parent_states

Align = Literal["none", "weights", "activations", "ot", "ot-acts"]
"""Units as they lie; `git-rebasin`; `git-rebasin-acts`; `ot-fusion`; `ot-fusion-acts`."""

RESTARTS, REBASIN_IMAGES, OT_IMAGES = 3, 2000, 200
"""As in the methods."""


def aligned(task: FuseTask, align: Align) -> list[State]:
    """The first parent as it is, and the others with their units moved to where the first has their likes."""
    match align:
        case "none":
            return parent_states(task)
        case "weights":
            return git_rebasin.by_weights(task, RESTARTS)
        case "activations":
            return git_rebasin_acts.by_activations(task, REBASIN_IMAGES)
        case "ot":
            return ot_fusion.by_weights(task, ot_fusion.Transport())
        case "ot-acts":
            return ot_fusion.by_activations(task, ot_fusion.Transport(), OT_IMAGES)
