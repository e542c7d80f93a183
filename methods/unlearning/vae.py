"""A small variational autoencoder of feature vectors: its reconstruction error says how usual a feature is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

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
    features: Tensor, *, latent: int, epochs: int, lr: float, batch_size: int, generator: torch.Generator
) -> VAE:
    """A VAE trained on features [N, d] by Adam, then frozen. Weights are drawn from torch's global generator."""
    vae = VAE(features.shape[1], latent).to(features.device)
    optimizer = torch.optim.Adam(vae.parameters(), lr=lr)
    for _ in range(epochs):
        order = torch.randperm(len(features), generator=generator).to(features.device)
        for rows in order.split(batch_size):
            optimizer.zero_grad(set_to_none=True)
            vae_loss(vae, features[rows], generator).backward()
            optimizer.step()
    return vae.requires_grad_(False).eval()
