"""Small variational autoencoders of feature vectors: their reconstruction error says how usual a feature is."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from bench.device import as_input
from bench.models.augment import Augmentation, augment
from bench.models.layers import Classifier

KL_WEIGHT = 0.025
"""Weight of the KL term beside the squared error summed over features (LAF's code, arXiv:2404.00506)."""


class VAE(nn.Module):
    """Encoder d - 128 - 32 - (mean, log variance) of the code, decoder mirrored.

    The decoder ends linearly. LAF's code ends it in a sigmoid, which no feature outside of [0, 1] can be rebuilt by.
    """

    def __init__(self, features: int, latent: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(features, 128), nn.ReLU(), nn.Linear(128, 32), nn.ReLU())
        self.mean = nn.Linear(32, latent)
        self.log_variance = nn.Linear(32, latent)
        self.decoder = nn.Sequential(
            nn.Linear(latent, 32), nn.ReLU(), nn.Linear(32, 128), nn.ReLU(), nn.Linear(128, features)
        )

    def encode(self, e: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, d] -> mean and log variance of the code, [B, latent] each."""
        hidden = self.encoder(e)
        return self.mean(hidden), self.log_variance(hidden)

    def forward(self, e: Tensor, generator: torch.Generator) -> Tensor:
        """Features [B, d] rebuilt from a code drawn with `generator` (on the CPU)."""
        return self.decoder(draw(*self.encode(e), generator))


def draw(mean: Tensor, log_variance: Tensor, generator: torch.Generator) -> Tensor:
    """A sample of N(mean, exp(log_variance)) that gradients pass through."""
    noise = torch.randn(mean.shape, generator=generator).to(mean.device)
    return mean + torch.exp(log_variance / 2) * noise


def vae_loss(vae: VAE, e: Tensor, generator: torch.Generator) -> Tensor:
    """Mean over the batch of: squared error, summed over features, plus KL_WEIGHT times KL(code || N(0, 1)) in nats."""
    mean, log_variance = vae.encode(e)
    error = (vae.decoder(draw(mean, log_variance, generator)) - e).square().sum(1)
    kl = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
    return (error + KL_WEIGHT * kl).mean()


def train_vae(
    views: Iterator[Tensor],
    *,
    latent: int,
    steps: int,
    lr: float,
    batch_size: int,
    generator: torch.Generator,
    progress: Callable[[], None] | None = None,
) -> VAE:
    """A VAE trained by Adam, then frozen. Its weights are drawn from torch's global generator.

    Args:
        views: features [N, d] of the same rows for one epoch after the other, without end.
        latent: size of the code.
        steps: how many.
        lr: of Adam.
        batch_size: rows a step, at most.
        generator: draws their order and the codes.
        progress: called after each step.
    """
    first = next(views)
    vae = VAE(first.shape[1], latent).to(first.device)
    optimizer = torch.optim.Adam(vae.parameters(), lr=lr)
    batches = feature_batches(itertools.chain([first], views), batch_size, generator)
    for features, _ in itertools.islice(batches, steps):
        optimizer.zero_grad(set_to_none=True)
        vae_loss(vae, features, generator).backward()
        optimizer.step()
        if progress is not None:
            progress()
    return vae.requires_grad_(False).eval()


def feature_batches(
    views: Iterator[Tensor], batch_size: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Every row of one view after the other, each in a new order: features [B, d] and int64 [B] of their rows.

    Args:
        views: features [N, d] of the same rows, N at least 1.
        batch_size: rows a batch; the last of a view may be smaller.
        generator: on the CPU; draws the orders.
    """
    for features in views:
        order = torch.randperm(len(features), generator=generator).to(features.device)
        for rows in order.split(batch_size):
            yield features[rows], rows


class Scale:
    """Centres features [N, d] and divides all by one number, so that their variance is 1 on average."""

    def __init__(self, features: Tensor) -> None:
        self.centre = features.mean(0)
        self.size = (features - self.centre).square().mean().sqrt().clamp(min=1e-12)

    def __call__(self, features: Tensor) -> Tensor:
        """Same shape."""
        return (features - self.centre) / self.size


@torch.no_grad()
def features_of(model: Classifier, images: Tensor, device: torch.device) -> Tensor:
    """Features [N, d] of uint8 images [N, C, H, W], in eval mode."""
    model.eval()
    return torch.cat([model.features(as_input(batch.to(device))) for batch in images.split(500)])


def views(
    model: Classifier, images: Tensor, augmentation: Augmentation, generator: torch.Generator, device: torch.device
) -> Iterator[Tensor]:
    """Features [N, d] of the images, epoch after epoch: augmented anew each time, or computed once if they are not."""
    features = None
    while True:
        if features is None or augmentation != "none":
            features = features_of(model, augment(images, augmentation, generator), device)
        yield features
