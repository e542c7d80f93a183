"""LAF: Label-Agnostic Forgetting, and LAF+R, which repairs with labels.

Shaofei Shen, Chenhao Zhang, Yawen Zhao, Alina Bialkowski, Weitong Chen and Miao Xu, "Label-Agnostic Forgetting: A
Supervision-Free Unlearning in Deep Models", ICLR 2024, arXiv:2404.00506; losses as in their code (ShaofeiShen768/LAF).

Two autoencoders learn what features of the original look like: h those of all rows, k those of the forgotten rows.
Then they are frozen, and two losses are descended in turns by an Adam each, a batch of retained and one of forgotten
rows a time, over all layers below the classifier:

    extractor unlearning      mean s(|h(e) - e|^2) over retained rows - mean s(|k(e) - e|^2) over forgotten rows
    representation alignment  mean c over retained rows - log sum exp(c / T) over forgotten rows

with s(d) = exp(d / (1 + d)) and c = 1 - cos(feature, the original's feature). No label is used anywhere, and the
classifier stays as it is, to the last bit: no loss reaches it. BatchNorm stays in eval mode all the time, as it does in
the code (there because training the autoencoders leaves it so). Images are augmented as in training, the same for the
original and its copy. +R trains the classifier alone, by Adam on cross-entropy of the retained rows.

Held against the code. The same: what is trained and what is frozen, both losses, the KL term's weight, Adam for all.
The code sums over rows where means stand here: Adam does not tell the difference, and of the alignment the sum is the
mean times the number of retained rows.

Done otherwise, because features are unbounded: the code's decoder ends in a sigmoid, which can rebuild no feature
outside of [0, 1], and d is the squared error summed over 256 of them, about 160 at the end of the code's own log, where
s has lost its slope (to less than a ten-thousandth of that at 0). Here features are centred and divided by one number,
so that their variance is 1 on average, |.|^2 is the mean over features, and the decoder ends linearly (see `vae`). What
the method does then depends neither on the scale of the features nor on their number.

Temperature, size of the code and rate of the autoencoders are those of the code for MNIST and random rows (T is 20 for
classes); its rates there are 5e-5 and 1e-4, for 20 epochs of far more batches. On the validation split of the digits,
where an epoch is two batches, 20 epochs at the larger rates below give an average gap below the floor for a class, and
the retrained reference's own for a tenth of the rows; 100 forget too much (less confidence than in rows never seen)
unless the rates are a fifth or less. Of few rows k learns little in 20 epochs: random ones it rebuilds with an error of
0.93 of a variance of 1.02 (0.09 after 100), a class by about its mean. The gap was the same after 20 and 100.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn

from bench import method
from bench.scenarios.unlearn.task import UnlearnTask
from bench.types import Count, Rate
from methods.unlearning.laf_features import Settings, forget_features, step
from methods.unlearning.vae import views


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
        epochs: passes over the forgotten rows; each meets as many retained ones, drawn anew.
        lr_ue: Adam's rate of extractor unlearning.
        lr_ra: Adam's rate of representation alignment.
        temperature: T of the alignment.
        batch_size: forgotten rows, and retained rows, a step.
        latent: size of the autoencoders' code.
        vae_epochs: passes over the features that each autoencoder learns.
        vae_lr: Adam's rate for the autoencoders.
    """
    return forget_features(task, Settings(epochs, lr_ue, lr_ra, temperature, batch_size, latent, vae_epochs, vae_lr))


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
    settings = Settings(epochs, lr_ue, lr_ra, temperature, batch_size, latent, vae_epochs, vae_lr)
    student = forget_features(task, settings, further=repair_epochs)
    optimizer = torch.optim.Adam(student.head.parameters(), lr=repair_lr)
    labels, smoothing = task.retain_labels.to(task.device), task.recipe.label_smoothing
    seen = views(student, task.retain_images, task.recipe.augment, task.generator, task.device)
    for done, features in enumerate(itertools.islice(seen, repair_epochs)):
        order = torch.randperm(len(features), generator=task.generator).to(task.device)
        for rows in order.split(batch_size):
            z = student.head(features[rows])
            step(optimizer, nn.functional.cross_entropy(z, labels[rows], label_smoothing=smoothing))
        task.progress(settings.rounds + done + 1, settings.rounds + repair_epochs)
    return student
