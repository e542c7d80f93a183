"""Instance discrimination on the teacher's features: what makes inverted images differ (CMI, arXiv:2105.08584)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, normalize

from bench.scenarios.datafree.scenario import DataFreeTask
from methods.datafree.bn_statistics import BatchNormStatistics


class FeatureBank:
    """Features of the latest images, [N, d] and at most `capacity` rows, first in first out; nothing at first."""

    def __init__(self, capacity: int, d: int) -> None:
        self.capacity = capacity
        self.rows = torch.empty(0, d)

    def add(self, features: Tensor) -> None:
        """Append features [B, d], on whose device the bank is from then on."""
        self.rows = torch.cat([self.rows.to(features.device), features.detach()])[-self.capacity :]

    def sample(self, count: int, rng: torch.Generator) -> Tensor:
        """At most `count` different rows."""
        return self.rows[torch.randperm(len(self.rows), generator=rng)[:count].to(self.rows.device)]


class Contrast:
    """cr * L_cr: how badly a local view of an image finds its global view among all images', and a head that learns.

    Args:
        task: gives the teacher and its noise.
        statistics: whose hooks hold what the BatchNorm layers were given; the global view is what they saw last.
        cr: weight of the loss, and `cr_T` its temperature.
        n_neg: rows of the bank that a step compares with.
        bank_size: rows of the bank, one an earlier image: its local and its global features, 2 d.
        head_dim: length of a projected feature.
        lr: of the head's Adam.
    """

    def __init__(
        self,
        task: DataFreeTask,
        statistics: BatchNormStatistics,
        *,
        cr: float,
        cr_T: float,
        n_neg: int,
        bank_size: int,
        head_dim: int,
        lr: float,
    ) -> None:
        self._task = task
        self._statistics = statistics
        self.cr, self.cr_T, self.n_neg = cr, cr_T, n_neg
        d = sum(layer.num_features for layer in statistics.layers)
        self.head = task.compute.place(nn.Sequential(nn.Linear(d, d), nn.ReLU(), nn.Linear(d, head_dim)))
        self.bank = FeatureBank(bank_size, 2 * d)
        self.optimizer = torch.optim.Adam(self.head.parameters(), lr)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(cr * L_cr, a scalar; features (local, global) [B, 2 d], without graph) of images [B, C, H, W].

        To be called when the teacher has just seen the global view; no gradient flows through that view.
        """
        task = self._task
        whole = self._features().detach()
        with task.compute.autocast():
            task.teacher(random_resized_crop(images, task.generator, flip=task.recipe.augment == "crop-flip"))
        local = self._features()
        old_local, old_whole = self.bank.sample(self.n_neg, task.generator).to(whole).chunk(2, dim=1)
        with torch.no_grad():
            keys = normalize(self.head(torch.cat([whole, old_whole])))
        queries = normalize(self.head(torch.cat([local, old_local])))
        loss = instance_discrimination(queries, keys, self.cr_T, new=len(images))
        return self.cr * loss, torch.cat([local.detach(), whole], 1)

    def _features(self) -> Tensor:
        """[B, d]: what each BatchNorm layer was last given, averaged over space."""
        inputs = self._statistics.inputs.latest
        return torch.cat([inputs[i].float().flatten(2).mean(2) for i in range(len(inputs))], 1)


def instance_discrimination(queries: Tensor, keys: Tensor, temperature: float, *, new: int) -> Tensor:
    """Cross-entropy of every query finding its own key among all: mean over the first `new`, plus that over the rest.

    Two means, so that many remembered images do not drown the gradient of the new ones.

    Args:
        queries: [N, d], rows of unit length; `keys` likewise, row by row of the same image.
    """
    each = cross_entropy(
        queries @ keys.T / temperature, torch.arange(len(queries), device=queries.device), reduction="none"
    )
    loss = each[:new].mean()
    return loss + each[new:].mean() if len(each) > new else loss


def random_resized_crop(
    images: Tensor, rng: torch.Generator, *, scale: tuple[float, float] = (0.25, 1.0), flip: bool = False
) -> Tensor:
    """A random part of every image, enlarged to its size by linear interpolation.

    Args:
        images: [N, C, H, W].
        rng: on the CPU, so that all devices see the same draws.
        scale: bounds of the part's area as a share of the image's, uniform; its sides' ratio is log-uniform from 3:4
            to 4:3, and a side that would be longer than the image's is cut to it.
        flip: mirror every second image left to right on average.

    Returns:
        Images of the same shape and type.
    """
    n = len(images)
    area = torch.empty(n).uniform_(*scale, generator=rng)
    ratio = torch.empty(n).uniform_(-1, 1, generator=rng).mul(math.log(4 / 3)).exp()
    sides = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], 1).clamp(max=1)  # [N, 2]: width, height
    centres = (torch.rand(n, 2, generator=rng) * 2 - 1) * (1 - sides)
    if flip:
        mirrored = torch.rand(n, generator=rng) < 0.5
        sides[:, 0] = torch.where(mirrored, -sides[:, 0], sides[:, 0])
    maps = torch.cat([torch.diag_embed(sides), centres[:, :, None]], 2).to(images)  # [N, 2, 3]: output to input
    grid = affine_grid(maps, list(images.shape), align_corners=False)
    return grid_sample(images, grid, padding_mode="border", align_corners=False)
