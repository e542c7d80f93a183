"""UNSIR: unlearn by noise that no longer looks like the class, impair with it, repair on a few retained rows.

Ayush K Tarun, Vikram S Chundawat, Murari Mandal and Mohan Kankanhalli, "Fast Yet Effective Machine Unlearning", IEEE
TNNLS 2023, arXiv:2111.08947; losses and steps as in their code (vikram2000b/Fast-Machine-Unlearning).

The method is told which class to forget and never sees an image of it ("zero-glance"). It learns images, not too large
ones, on which the original errs about that class as far as can be, and then teaches the network that those are the
class: what it knew of the class is overwritten.

Done otherwise: while the noise is learned the network is in eval mode (the notebook left it in train mode, where
BatchNorm normalises by the noise and takes on its statistics); of two learned classes the notebook labels the noise of
both as class 0, here the noise has its own label; retained rows are drawn, where the notebook takes the first; they are
augmented and labels smoothed as in training. Sizes are smaller in their proportions, about 4 of noise to 7 of retained
rows (256 noise images, 20 copies, 1000 rows a class, batches of 256 in the notebook; 32, 80, 500, 32 and 128 in Bad
Teaching and SSD). The repair has half of the rate of the first epoch, as in the notebook (Adam, 0.02 and 0.01; 1e-4 in
the others); the rates were chosen on the validation split of the digits (1e-4 to 0.02).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench import Skip, method
from bench.device import as_input
from bench.models.augment import augment
from bench.models.layers import Classifier, Normalize
from bench.scenarios.unlearn.task import UnlearnTask
from bench.types import Count, Rate, Weight
from methods.unlearning.batches import number_of_batches


@method(
    family="unlearning",
    scenario="unlearn",
    access={"weights", "forget_class", "retain_labels"},
    paper="arXiv:2111.08947",
    year=2023,
    in_place=True,
)
def unsir(
    task: UnlearnTask,
    *,
    noise_images: Count = 32,
    noise_steps: Count = 40,
    noise_lr: Rate = 0.1,
    penalty: Weight = 0.1,
    copies: Count = 20,
    per_class: Count = 120,
    batch_size: Count = 32,
    impair_lr: Rate = 1e-2,
    repair_lr: Rate = 5e-3,
) -> nn.Module:
    """Learn the noise; one epoch on it and on retained rows; one epoch on those retained rows alone.

    Args:
        noise_images: images of noise.
        noise_steps: steps of Adam in which they are learned.
        noise_lr: its rate.
        penalty: weight of their mean squared norm, in the network's normalised scale.
        copies: how often each image of noise comes in the epoch that impairs.
        per_class: retained rows of each class, at most.
        batch_size: images a step of either epoch, at most.
        impair_lr: Adam's rate of the first epoch.
        repair_lr: Adam's rate of the second.
    """
    if task.forget_class is None:
        raise Skip("UNSIR learns noise for a whole class; this request forgets rows of every class")
    if not (isinstance(task.model, Classifier) and isinstance(getattr(task.model, "normalize", None), Normalize)):
        raise Skip("UNSIR needs a standard model of images: its noise lives in the scale of `normalize`")
    noise = torch.randn((noise_images, *task.input_shape), generator=task.generator).to(task.device)
    noise = error_maximising(task.model, noise, task.forget_class, noise_steps, noise_lr, penalty)
    kept = some_of_each_class(task.retain_labels, per_class, task.generator)
    labels = task.retain_labels[kept].to(task.device)
    wrong = pixels(task.model, noise).repeat(copies, 1, 1, 1)
    names = torch.full((len(wrong),), task.forget_class, device=task.device)
    impairing = number_of_batches(len(wrong) + len(kept), batch_size)
    steps = impairing + number_of_batches(len(kept), batch_size)

    def retained() -> Tensor:
        """As the original saw them in an epoch of its training."""
        return as_input(augment(task.retain_inputs[kept], task.recipe.augment, task.generator).to(task.device))

    def impaired(done: int) -> None:
        task.progress(done, steps)

    def repaired(done: int) -> None:
        task.progress(impairing + done, steps)

    mixture = torch.cat([wrong, retained()])
    train_epoch(task, mixture, torch.cat([names, labels]), impair_lr, batch_size, impaired)
    train_epoch(task, retained(), labels, repair_lr, batch_size, repaired)
    return task.model.eval()


def error_maximising(model: Classifier, noise: Tensor, label: int, steps: int, lr: float, penalty: float) -> Tensor:
    """Noise [N, C, H, W], in the network's normalised scale, after descent of -CE(label) + penalty * mean |noise|^2.

    Args:
        model: in eval mode while it is asked; its weights stay.
        noise: where to start.
        label: the class to be wrong about.
        steps: of Adam.
        lr: its rate.
        penalty: weight of the squared norm of an image.
    """
    model.eval()
    noise = noise.clone().requires_grad_()
    labels = torch.full((len(noise),), label, device=noise.device)
    optimizer = torch.optim.Adam([noise], lr=lr)
    for _ in range(steps):
        error = nn.functional.cross_entropy(model(pixels(model, noise)), labels)
        loss = penalty * noise.square().sum((1, 2, 3)).mean() - error
        (noise.grad,) = torch.autograd.grad(loss, noise)
        optimizer.step()
    return noise.detach()


def pixels(model: Classifier, noise: Tensor) -> Tensor:
    """What the network has to be given to see `noise` behind its first layer; not confined to [0, 1]."""
    normalizer = model.normalize
    assert isinstance(normalizer, Normalize)
    return noise * normalizer.std + normalizer.mean


def some_of_each_class(labels: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Rows, int64 [R], of at most `count` random images of each class."""
    order = torch.randperm(len(labels), generator=generator)
    return torch.cat([order[labels[order] == c][:count] for c in labels.unique().tolist()])


def train_epoch(
    task: UnlearnTask, images: Tensor, labels: Tensor, lr: float, batch_size: int, progress: Callable[[int], None]
) -> None:
    """One epoch of Adam in train mode on float images [N, C, H, W], in even batches, in place.

    `progress` is called with the number of steps done.
    """
    optimizer = torch.optim.Adam(task.model.train().parameters(), lr=lr)
    order = torch.randperm(len(images), generator=task.generator).to(images.device)
    smoothing = task.recipe.label_smoothing
    for done, rows in enumerate(order.tensor_split(number_of_batches(len(images), batch_size))):
        optimizer.zero_grad(set_to_none=True)
        z = task.model(images[rows])
        nn.functional.cross_entropy(z, labels[rows], label_smoothing=smoothing).backward()
        optimizer.step()
        progress(done + 1)
