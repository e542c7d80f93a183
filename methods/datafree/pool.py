"""Synthetic images that outlive the step which made them."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from bench.scenarios.datafree.scenario import DataFreeTask


class ImagePool:
    """Every image synthesised so far, kept as 8 bits a channel, as the papers' pools of picture files are."""

    def __init__(self, task: DataFreeTask) -> None:
        self._monitor = task.monitor
        self._batches: list[Tensor] = []

    def __len__(self) -> int:
        return sum(map(len, self._batches))

    def add(self, images: Tensor) -> None:
        """Append images [B, C, H, W]; pixels outside [0, 1] are clipped."""
        self._batches.append(images.detach().clamp(0, 1).mul(255).round().byte())
        self._monitor.kept(len(self))

    @property
    def images(self) -> Tensor:
        """All of them, uint8 [N, C, H, W]."""
        if len(self._batches) > 1:
            self._batches = [torch.cat(self._batches)]
        return self._batches[0]


class ReplayMemory:
    """The latest `capacity` batches with the teacher's logits for them; a batch more pushes the oldest out."""

    def __init__(self, task: DataFreeTask, capacity: int) -> None:
        self._monitor = task.monitor
        self._batches: deque[tuple[Tensor, Tensor]] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return len(self._batches)

    def add(self, images: Tensor, t: Tensor) -> None:
        """Keep these images [B, C, H, W] and logits t [B, K], both without graph."""
        self._batches.append((images, t))
        self._monitor.kept(sum(len(x) for x, _ in self._batches))

    def sample(self, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """One of the batches kept, all equally likely."""
        return self._batches[int(torch.randint(len(self._batches), (), generator=rng))]
