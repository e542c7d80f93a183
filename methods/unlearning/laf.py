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

**Effort.** The code's epoch is one pass over the forgotten rows in batches of 32. For a class of CIFAR-10 its notebook
(commit bda3694) makes 6,280 steps at 0.00001 and 0.00005, after 1,570 of k and 15,630 of h, of ten times the rows. Here
everything is counted in steps, so that few rows to be forgotten mean no less effort: a tenth of the notebook's steps at
ten times its rates (alignment's 0.00004, as for random rows), and 1,570 steps of either autoencoder. Alignment has four
times the rate of unlearning: theirs is two to five times. Temperature, size of the code and rate of the autoencoders
are those of the code for MNIST and random rows (T is 20 for classes). The repair's steps and rate are ours: the code
has no values for them.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn

from bench import method
from bench.scenarios.unlearn.task import UnlearnTask
from bench.types import Count, Rate
from methods.unlearning.laf_features import LafOptions, forget_features, step
from methods.unlearning.vae import feature_batches, views


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
    steps: Count = 628,
    lr: Rate = 4e-4,
    ratio: Rate = 0.25,
    temperature: Rate = 5.0,
    batch_size: Count = 32,
    latent: Count = 8,
    vae_steps: Count = 1570,
    vae_lr: Rate = 1e-3,
) -> nn.Module:
    """Forget without labels: make forgotten features improbable, keep retained ones where they were.

    Args:
        steps: updates by either loss, each on a batch of forgotten rows and one of retained rows.
        lr: Adam's rate of representation alignment.
        ratio: Adam's rate of extractor unlearning, in units of `lr`.
        temperature: T of the alignment.
        batch_size: forgotten rows, and retained rows, a step, at most.
        latent: size of the autoencoders' code.
        vae_steps: updates of each autoencoder.
        vae_lr: Adam's rate for the autoencoders.
    """
    return forget_features(task, LafOptions(steps, lr, ratio, temperature, batch_size, latent, vae_steps, vae_lr))


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
    steps: Count = 628,
    lr: Rate = 4e-4,
    ratio: Rate = 0.25,
    temperature: Rate = 5.0,
    batch_size: Count = 32,
    latent: Count = 8,
    vae_steps: Count = 1570,
    vae_lr: Rate = 1e-3,
    repair_steps: Count = 100,
    repair_lr: Rate = 1e-3,
) -> nn.Module:
    """LAF+R: `laf`, then train the classifier alone on labelled retained rows.

    Args:
        repair_steps: updates of the classifier.
        repair_lr: Adam's rate of the repair. The other arguments are those of `laf`.
    """
    settings = LafOptions(steps, lr, ratio, temperature, batch_size, latent, vae_steps, vae_lr)
    student = forget_features(task, settings, further=repair_steps)
    optimizer = torch.optim.Adam(student.head.parameters(), lr=repair_lr)
    labels, smoothing = task.retain_labels.to(task.device), task.recipe.label_smoothing
    seen = views(student, task.retain_inputs, task.recipe.augment, task.generator, task.device)
    batches = itertools.islice(feature_batches(seen, batch_size, task.generator), repair_steps)
    for done, (features, rows) in enumerate(batches, 1):
        step(optimizer, nn.functional.cross_entropy(student.head(features), labels[rows], label_smoothing=smoothing))
        task.progress(settings.total + done, settings.total + repair_steps)
    return student
