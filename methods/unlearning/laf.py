"""LAF: Label-Agnostic Forgetting, and LAF+R, which repairs with labels.

Shaofei Shen, Chenhao Zhang, Yawen Zhao, Alina Bialkowski, Weitong Chen and Miao Xu, "Label-Agnostic Forgetting: A
Supervision-Free Unlearning in Deep Models", ICLR 2024, arXiv:2404.00506; losses as in their code (ShaofeiShen768/LAF).

Two autoencoders learn what features of the original look like: h those of all rows, k those of the forgotten rows.
Then two losses are descended in turns by an optimizer each, over all layers below the classifier:

    extractor unlearning      mean s(|h(e) - e|^2) over retained rows - mean s(|k(e) - e|^2) over forgotten rows
    representation alignment  mean c over retained rows - log sum exp(c / T) over forgotten rows

with s(d) = exp(d / (1 + d)) and c = 1 - cos(feature, the original's feature). No label is used anywhere, and the
classifier stays as it is, to the last bit.

Done otherwise: features are centred and divided by one number, so that their variance is 1 on average, and |.|^2 is
the mean over features in place of the sum: s saturates, and beyond d = 10 it has no gradient left, so that what the
method does would hang on the scale of the features. The decoder ends linearly (see `vae`). BatchNorm stays in eval
mode all the time, as it does in the code (there because training the autoencoder leaves it so). Images are not
augmented. Sizes and rates are those of a small network.
"""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import Tensor, nn

from bench import Skip, method
from bench.device import as_input
from bench.models.layers import Classifier
from bench.scenarios.unlearn import UnlearnTask
from bench.types import Count, Rate
from methods.unlearning.batches import endless, number_of_batches
from methods.unlearning.vae import train_vae


@method(
    family="unlearning",
    scenario="unlearn",
    access={"weights", "retain", "forget"},
    paper="arXiv:2404.00506",
    year=2024,
)
def laf(
    task: UnlearnTask,
    *,
    epochs: Count = 20,
    lr_ue: Rate = 1e-4,
    lr_ra: Rate = 4e-4,
    temperature: Rate = 5.0,
    batch_size: Count = 64,
    latent: Count = 8,
    vae_epochs: Count = 20,
    vae_lr: Rate = 1e-3,
) -> nn.Module:
    """Forget without labels: make forgotten features improbable, keep retained ones where they were.

    Args:
        epochs: passes over the forgotten rows; each meets as many retained ones.
        lr_ue: Adam's rate of extractor unlearning.
        lr_ra: Adam's rate of representation alignment.
        temperature: T of the alignment.
        batch_size: forgotten rows, and retained rows, a step.
        latent: size of the autoencoders' code.
        vae_epochs: passes over the features that each autoencoder learns.
        vae_lr: Adam's rate for the autoencoders.
    """
    return forget_features(task, epochs, lr_ue, lr_ra, temperature, batch_size, latent, vae_epochs, vae_lr)


@method(
    family="unlearning",
    scenario="unlearn",
    access={"weights", "retain_labels", "forget"},
    paper="arXiv:2404.00506",
    year=2024,
)
def laf_r(
    task: UnlearnTask,
    *,
    epochs: Count = 20,
    lr_ue: Rate = 1e-4,
    lr_ra: Rate = 4e-4,
    temperature: Rate = 5.0,
    batch_size: Count = 64,
    latent: Count = 8,
    vae_epochs: Count = 20,
    vae_lr: Rate = 1e-3,
    repair_epochs: Count = 2,
    repair_lr: Rate = 1e-3,
) -> nn.Module:
    """LAF+R: `laf`, then train the classifier alone on labelled retained rows.

    Args:
        repair_epochs: passes over the retained rows.
        repair_lr: Adam's rate of the repair. The other arguments are those of `laf`.
    """
    student = forget_features(task, epochs, lr_ue, lr_ra, temperature, batch_size, latent, vae_epochs, vae_lr)
    features, labels = features_of(student, task.retain_images, task.device), task.retain_labels.to(task.device)
    optimizer = torch.optim.Adam(student.head.parameters(), lr=repair_lr)
    for _ in range(repair_epochs):
        order = torch.randperm(len(features), generator=task.generator).to(task.device)
        for rows in order.split(batch_size):
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(student.head(features[rows]), labels[rows]).backward()
            optimizer.step()
    return student


def forget_features(
    task: UnlearnTask,
    epochs: int,
    lr_ue: float,
    lr_ra: float,
    temperature: float,
    batch_size: int,
    latent: int,
    vae_epochs: int,
    vae_lr: float,
) -> Classifier:
    """A copy of the given model after both kinds of steps.

    Raises:
        Skip: the model does not say what its features are.
    """
    if not isinstance(task.model, Classifier):
        raise Skip("LAF needs a standard model: one with `features` and a `head` on them")
    kept = features_of(task.model, task.retain_images, task.device)
    gone = features_of(task.model, task.forget_images, task.device)
    scale = Scale(torch.cat([kept, gone]))
    learn = partial(
        train_vae, latent=latent, epochs=vae_epochs, lr=vae_lr, batch_size=batch_size, generator=task.generator
    )
    h, k = learn(scale(torch.cat([kept, gone]))), learn(scale(gone))
    student = copy.deepcopy(task.model).eval()
    extractor = [p for name, p in student.named_parameters() if not name.startswith("head.")]
    unlearn, align = torch.optim.Adam(extractor, lr=lr_ue), torch.optim.Adam(extractor, lr=lr_ra)
    retained = endless(task.retain_images, batch_size, "none", task.generator, task.device)
    steps = epochs * number_of_batches(len(task.forget_images), batch_size)
    forgotten = endless(task.forget_images, batch_size, "none", task.generator, task.device)
    for done in range(steps):
        (x_r, rows_r), (x_f, rows_f) = next(retained), next(forgotten)
        e_r, e_f = scale(student.features(x_r)), scale(student.features(x_f))
        step(unlearn, extractor_unlearning(h(e_r, task.generator) - e_r, k(e_f, task.generator) - e_f))
        moved_r = 1 - nn.functional.cosine_similarity(student.features(x_r), kept[rows_r])
        moved_f = 1 - nn.functional.cosine_similarity(student.features(x_f), gone[rows_f])
        step(align, representation_alignment(moved_r, moved_f, temperature))
        task.progress(done + 1, steps)
    return student


def extractor_unlearning(error_r: Tensor, error_f: Tensor) -> Tensor:
    """Mean s of retained rows minus mean s of forgotten rows, of reconstruction errors [B, d] by h and by k."""
    d_r, d_f = error_r.square().mean(1), error_f.square().mean(1)
    return torch.exp(d_r / (1 + d_r)).mean() - torch.exp(d_f / (1 + d_f)).mean()


def representation_alignment(moved_r: Tensor, moved_f: Tensor, temperature: float) -> Tensor:
    """Mean over retained rows of log(exp(c) / sum over forgotten rows of exp(c' / T)); c [B_r] and c' [B_f] >= 0."""
    return moved_r.mean() - torch.logsumexp(moved_f / temperature, dim=0)


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


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One descent step."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
