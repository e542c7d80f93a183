"""Reference rows of disposal: the network as it is, one that never had the source, and one that never learnt."""

from __future__ import annotations

from torch import nn

from bench import method
from bench.models.train import fit
from bench.scenarios.dispose.scenario import DisposeTask


@method(family="reference", scenario="dispose", access={"weights"})
def transferred(task: DisposeTask) -> nn.Module:
    """The transferred network as it is: nothing is disposed of."""
    return task.model


@method(family="reference", scenario="dispose", access={"init", "target"})
def target_scratch(task: DisposeTask) -> nn.Module:
    """Trained on the target alone, with a fresh initialisation and seed: there is nothing of the source to leak."""
    fit(
        task.student,
        task.target_inputs,
        task.target_labels,
        task.pretraining,
        generator=task.generator,
        device=task.compute,
        progress=task.progress,
    )
    return task.student


@method(family="reference", scenario="dispose", access={"init"})
def untrained(task: DisposeTask) -> nn.Module:
    """Negative control: an untrained network. It leaks nothing and is good for nothing.

    Piggyback accuracy ranks it high. What gives it away is the target's accuracy beside.
    """
    return task.student
