"""PRE-DFKD's memory: a variational autoencoder that remembers synthetic images by imitating its own samples too.

Binici, Aggarwal, Pham, Leman and Mitra, AAAI 2022, arXiv:2201.03019. Its size does not grow with what it has seen.

Differs from the authors' code (kuluhan/PRE-DFKD): the encoder halves the side by strides alone, where theirs also
drops every second pixel and normalises the columns of its input.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from bench.scenarios.datafree.scenario import DataFreeTask
from methods.datafree.generator import Generator, NormalizedPixels, normalizer

KL_WEIGHT = 1e-5
"""Weight of the code's KL divergence from N(0, I), which is summed over the code, beside errors averaged over pixels
and logits (authors' code)."""


class Encoder(nn.Module):
    """Images [B, C, H, W] -> mean and log variance of their code, [B, nz] each.

    Args:
        nz: length of the code.
        width: of the first convolution; the others have 2 * width.
        shape: (C, H, W) of an image.
        mean: of the teacher's normaliser, [1, C, 1, 1]; `std` likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, nz: int, width: int, shape: tuple[int, int, int], mean: Tensor, std: Tensor) -> None:
        super().__init__()
        channels, height, rows = shape
        self.register_buffer("mean", mean.clone())
        self.register_buffer("std", std.clone())
        self.trunk = nn.Sequential(
            *_block(channels, width, stride=1),
            *_block(width, 2 * width, stride=2),
            *_block(2 * width, 2 * width, stride=2),
        )
        self.code = nn.Linear(2 * width * -(-height // 4) * -(-rows // 4), 2 * nz)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels as the teacher takes them."""
        mean, log_variance = self.code(self.trunk((x - self.mean) / self.std).flatten(1)).chunk(2, dim=1)
        return mean, log_variance


class VAEMemory:
    """What the student was shown, held in the weights of a decoder.

    Args:
        task: gives teacher, image shape and noise.
        match: match(t) of the teacher's logits [B, K] for remembered images: what their codes are tuned to lower.
        nz: length of the code.
        width: of the encoder and of the decoder, which is built like the family's generator.
        lr: learning rate of the autoencoder's Adam.
        lr_z: length, in each coordinate, of the step that tunes a code.

    Raises:
        Skip: the teacher has no normaliser.
    """

    def __init__(
        self, task: DataFreeTask, match: Callable[[Tensor], Tensor], *, nz: int, width: int, lr: float, lr_z: float
    ) -> None:
        mean, std = normalizer(task.teacher)
        self.encoder = task.compute.place(Encoder(nz, width, task.input_shape, mean, std))
        self.decoder = task.compute.place(Generator(nz, width, task.input_shape, NormalizedPixels(mean, std)))
        self.nz = nz
        self.steps = 0
        """Steps of training so far; before the first one there is nothing to recall."""
        self._task = task
        self._match = match
        self._lr_z = lr_z
        self._optimizer = torch.optim.Adam([*self.encoder.parameters(), *self.decoder.parameters()], lr=lr)

    def recall(self, count: int) -> Tensor:
        """Remembered images [count, C, H, W], without graph: random codes, each tuned by one step, decoded.

        The step is the first of Adam, lr_z times the sign of the slope. At least two images, whose codes have a
        variance.
        """
        task = self._task
        self.decoder.eval()
        z = torch.randn(count, self.nz, generator=task.generator).to(task.device).requires_grad_()
        with task.compute.autocast():
            value = self._match(task.teacher(self.decoder(z))) + away_from_prior(z)
        (slope,) = torch.autograd.grad(value, z)
        with torch.no_grad(), task.compute.autocast():
            return self.decoder(z - self._lr_z * slope / (slope.abs() + 1e-8)).float()

    def learn(self, x: Tensor, t: Tensor) -> None:
        """One step of the autoencoder on images x [B, C, H, W] and the teacher's logits t [B, K], without graph."""
        self.encoder.train()
        self.decoder.train()
        with self._task.compute.autocast():
            loss = self.loss(x, t)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self.steps += 1

    def loss(self, x: Tensor, t: Tensor) -> Tensor:
        """Mean absolute error of pixels, plus that of the teacher's logits, plus KL_WEIGHT * KL(code || N(0, I))."""
        task = self._task
        mean, log_variance = self.encoder(x)
        noise = torch.randn(mean.shape, generator=task.generator).to(task.device)
        rebuilt = self.decoder(mean + (log_variance / 2).exp() * noise)
        error = l1_loss(rebuilt, x) + l1_loss(task.teacher(rebuilt), t)
        return error + KL_WEIGHT * kl_from_prior(mean, log_variance)


def kl_from_prior(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Batch mean of KL(N(mean, exp(log_variance)) || N(0, I)) in nats, summed over the code; [B, nz] each."""
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2


def away_from_prior(z: Tensor) -> Tensor:
    """How far the codes' [B, nz] means are from 0 and their variances from 1: mean squares over coordinates."""
    var, mean = torch.var_mean(z, dim=0)
    return (var - 1).square().mean() + mean.square().mean()


def _block(channels: int, width: int, stride: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(width), nn.LeakyReLU(0.2)
