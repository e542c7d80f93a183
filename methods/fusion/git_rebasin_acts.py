"""Git Re-Basin: Merging Models modulo Permutation Symmetries. Activation matching.

Samuel K. Ainsworth, Jonathan Hayase and Siddhartha Srinivasa, ICLR 2023, arXiv:2209.04836.

The units of B are permuted so that on the same images they do what A's units do: per group of units one assignment
problem on the similarity of their features, independent of all other groups. Then the weights are averaged.

Different from the paper and its code (samuela/git-re-basin), which match plain stacks of layers by all training images:
- the similarity is Pearson's correlation, as in the code's VGG and in REPAIR (arXiv:2211.08403). The paper's own
  criterion, least squares between features, is `similarity = "inner-product"`: by it the code matches its MLPs;
- a residual stream is seen once, at its end (`post-activation`), or at each layer that writes to it, the similarities
  being summed (`pre-activation`); the last group is seen as the head reads it, pooled;
- two units of which neither varies on the images count as alike: it does not matter which of them are averaged;
- all parents are matched to the first. BatchNorm's running statistics follow their channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from bench import method
from bench.models.permutation import PermutationSpec, permute
from bench.scenarios.fuse.scenario import FuseTask
from bench.types import Count
from methods.fusion.coupling import coupling
from methods.fusion.features import Features, Moments, block_of, by_unit, joint_moments
from methods.fusion.git_rebasin import Permutations
from methods.fusion.state import State, averaged, parent_states, permutation_spec

Similarity = Literal["correlation", "inner-product"]


@method(family="fusion", scenario="fuse", access={"weights", "unlabeled"}, paper="arXiv:2209.04836", year=2023)
def git_rebasin_acts(
    task: FuseTask,
    *,
    samples: Count = 2000,
    features: Features = "post-activation",
    similarity: Similarity = "correlation",
) -> nn.Module:
    """Permute units to make them do alike on unlabelled images (activation matching), then average.

    Args:
        samples: images that are looked at, at most.
        features: units are compared by what later layers read of them, or by what goes into norm and nonlinearity.
        similarity: Pearson's correlation, or the mean product, whose largest sum is the least squared distance.
    """
    return averaged(task, by_activations(task, samples, features, similarity))


def by_activations(
    task: FuseTask,
    samples: int,
    features: Features = "post-activation",
    similarity: Similarity = "correlation",
) -> list[State]:
    """The first parent as it is, and the others with their units permuted to do alike on unlabelled images."""
    spec = permutation_spec(task.parents[0])
    anchor, *others = parent_states(task)
    matched = activation_matching(task.parents, task.unlabeled[:samples], spec, task.device, features, similarity)
    task.progress(1, 1)
    return [anchor, *(permute(b, spec, perms) for b, perms in zip(others, matched, strict=True))]


def activation_matching(
    models: Sequence[nn.Module],
    images: Tensor,
    spec: PermutationSpec,
    device: torch.device,
    features: Features = "post-activation",
    similarity: Similarity = "correlation",
) -> list[Permutations]:
    """For each network but the first, the permutations that bring its units to where the first has their likes.

    Args:
        models: in eval mode, of one architecture.
        images: uint8 [N, C, H, W].
        spec: groups of all.
        device: where the models lie.
        features: where units are looked at.
        similarity: how they are compared.
    """
    moments = joint_moments(models, images, spec, features, device)
    alike = {
        group: _similarity(seen, len(models), block_of(spec, group), similarity) for group, seen in moments.items()
    }
    # An exact coupling of equally many units is a permutation.
    return [{group: coupling(-alike[group][b]).argmax(1).cpu() for group in spec.order} for b in range(1, len(models))]


def _similarity(seen: Sequence[Moments], models: int, block: int, similarity: Similarity) -> list[Tensor]:
    """Per network, [n, n]: how much unit i of the first is like its unit j, summed over the places of the group."""
    tables = [m.correlation if similarity == "correlation" else m.products for m in seen]
    total = torch.stack(tables).sum(0)
    entries = len(total) // models
    return [by_unit(part, block) for part in total[:entries].split(entries, 1)]
