"""Contrastive Representation Distillation.

Yonglong Tian, Dilip Krishnan and Phillip Isola, ICLR 2020, arXiv:1910.10699.

Student and teacher see one image; their embeddings, each through a linear layer of its own, should be told from those
of other classes' images. These come from two memory banks, which hold the latest embedding of every training image.
All numbers are those of the authors' code (RepDistiller), the labels' classes for negatives included. Scores are one
product with a whole bank, from which those wanted are picked: the same numbers as from picked rows, in less memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench import method
from bench.scenarios.distill import DistillTask
from bench.types import Count, Fraction, Rate, Weight
from methods.distillation.training import Batch, distil_features, first_look

EPSILON = 1e-7


@method(family="distillation", scenario="distill", access={"weights", "labels"}, paper="arXiv:1910.10699", year=2020)
def crd(
    task: DistillTask,
    *,
    weight: Weight = 0.8,
    negatives: Count = 16384,
    width: Count = 128,
    temperature: Rate = 0.07,
    momentum: Fraction = 0.5,
) -> nn.Module:
    """Contrastive distillation: an image's two embeddings are told from those of other classes' images.

    Args:
        weight: of the contrastive loss.
        negatives: other images for each image, of other classes; drawn with replacement where there are fewer.
        width: of the embeddings that are compared.
        temperature: of their scores.
        momentum: share of the old entry that a bank keeps.
    """
    student, teacher = (seen.embedding.shape[1] for seen in first_look(task))
    mine, theirs = nn.Linear(student, width), nn.Linear(teacher, width)
    labels = task.labels.to(task.device)
    banks = [Bank.random(len(labels), width, task.device) for _ in range(2)]

    def loss(batch: Batch) -> Tensor:
        z = nn.functional.normalize(mine(batch.student.embedding))
        t = nn.functional.normalize(theirs(batch.teacher.embedding))
        rows = torch.cat([batch.index[:, None], draw_negatives(batch.labels, labels, negatives)], dim=1)
        scores = banks[1].scores(z, rows, temperature), banks[0].scores(t, rows, temperature)
        contrast = nce(scores[0], len(labels)) + nce(scores[1], len(labels))
        for bank, embedding in zip(banks, (z, t), strict=True):
            bank.update(batch.index, embedding.detach(), momentum)
        return batch.hard + weight * contrast

    return distil_features(task, loss, connectors=[mine, theirs])


@dataclass
class Bank:
    """The latest embedding of each of N images."""

    rows: Tensor
    """[N, width], of length 1 once the image was seen."""
    normaliser: Tensor | None = None
    """Z: N times the mean score of the first batch, and constant from then on."""

    @classmethod
    def random(cls, images: int, width: int, device: torch.device) -> Bank:
        """Before anything was seen: uniform, of mean squared length 1."""
        return cls((2 * torch.rand(images, width, device=device) - 1) * (3 / width) ** 0.5)

    def scores(self, embedding: Tensor, rows: Tensor, temperature: float) -> Tensor:
        """exp(<row, embedding> / temperature) / Z of the bank's `rows` [B, K] for embeddings [B, width]: [B, K]."""
        raw = ((embedding @ self.rows.T).gather(1, rows) / temperature).exp()
        if self.normaliser is None:
            self.normaliser = raw.detach().mean() * len(self.rows)
        return raw / self.normaliser

    def update(self, index: Tensor, embedding: Tensor, momentum: float) -> None:
        """Move the entries of the images `index` [B] towards their embeddings [B, width]."""
        moved = nn.functional.normalize(momentum * self.rows[index] + (1 - momentum) * embedding)
        self.rows = self.rows.index_copy(0, index, moved)  # a new tensor: the backward pass still needs the old one


def draw_negatives(labels: Tensor, of: Tensor, count: int) -> Tensor:
    """For labels int64 [B], `count` images each with another label among those `of` all images [N]: int64 [B, count].

    Without replacement where there are enough; where no image has another label, any images.
    """
    other = (labels[:, None] != of).float()
    other[other.sum(1) == 0] = 1.0
    return torch.multinomial(other, count, replacement=count > int(other.sum(1).min()))


def nce(scores: Tensor, images: int) -> Tensor:
    """Noise-contrastive estimation over scores P [B, 1 + K], the first of each row the positive one's.

    -log of P / (P + K/N) for the positive and of (K/N) / (P + K/N) for each negative, summed, where N is the number of
    images; a mean over the batch.
    """
    noise = (scores.shape[1] - 1) / images
    positive, negative = scores[:, 0], scores[:, 1:]
    right = (positive / (positive + noise + EPSILON)).log()
    wrong = (noise / (negative + noise + EPSILON)).log().sum(1)
    return -(right + wrong).mean()
