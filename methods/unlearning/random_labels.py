"""Random labels and amnesiac unlearning: tell something else about the rows to be forgotten, and train on.

`random-labels`: Aditya Golatkar, Alessandro Achille and Stefano Soatto, "Eternal Sunshine of the Spotless Net:
Selective Forgetting in Deep Networks", CVPR 2020, arXiv:1911.04933, where it is a baseline; as in the code of SalUn
(Fan et al., ICLR 2024, arXiv:2310.12508, OPTML-Group/Unlearn-Saliency): labels are drawn anew in each epoch from all
classes, the true one included.

`amnesiac`: Laura Graves, Vineel Nagisetty and Vijay Ganesh, "Amnesiac Machine Learning", AAAI 2021, arXiv:2010.10981:
a wrong label for each row, drawn once. That paper calls this "unlearning" and keeps "amnesiac" for subtracting the
updates of all batches that held such a row, which needs a log of the training; later papers and their code (Bad
Teaching, SSD) give the name to the relabelling, and so does this file.

Differs from the code: retained and forgotten rows are shuffled together, as the code does for CIFAR-100 (for CIFAR-10
it passes over the forgotten rows first), so that BatchNorm never sees a batch of the forgotten class alone; learning
rates fall linearly to 0, and are those of a small network (SalUn: SGD at 0.01; Bad Teaching: Adam at 1e-4); both
methods and SalUn pass over the rows equally often (SalUn's code: 10 times; Bad Teaching's for `amnesiac`: 3 times);
images are augmented and labels smoothed as in training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import method
from bench.models.train import Loss
from bench.scenarios.unlearn.task import UnlearnTask
from bench.types import Count, Rate
from methods.unlearning.both import train_on_both
from methods.unlearning.finetune import EPOCHS, by_adam, tuning_recipe


@method(
    family="unlearning",
    scenario="unlearn",
    access={"weights", "retain_labels", "forget"},
    paper="arXiv:1911.04933",
    year=2020,
    in_place=True,
)
def random_labels(task: UnlearnTask, *, epochs: Count = EPOCHS, lr: Rate = 0.03) -> nn.Module:
    """Train on all rows, the forgotten ones with labels drawn anew in each epoch.

    Args:
        epochs: passes over all rows.
        lr: SGD's learning rate at the start.
    """
    train_with_random_labels(task, epochs, lr, redrawn_labels(task))
    return task.model


@method(
    family="unlearning",
    scenario="unlearn",
    access={"weights", "retain_labels", "forget_labels"},
    paper="arXiv:2010.10981",
    year=2021,
    in_place=True,
)
def amnesiac(task: UnlearnTask, *, epochs: Count = EPOCHS, lr: Rate = 1e-3) -> nn.Module:
    """Train on all rows, each forgotten one with a wrong label that it keeps.

    Args:
        epochs: passes over all rows.
        lr: Adam's learning rate at the start.
    """
    wrong = wrong_labels(task.forget_labels, task.num_classes, own_generator(task))
    recipe = by_adam(tuning_recipe(task.recipe, epochs, lr))
    train_on_both(task, task.model, recipe, (task.retain_inputs, task.retain_labels), (task.forget_inputs, wrong))
    return task.model


def train_with_random_labels(task: UnlearnTask, epochs: int, lr: float, loss: Loss) -> None:
    """Train the given model on all rows by `redrawn_labels`, or by a loss made of it."""
    unknown = torch.zeros(len(task.forget_inputs), dtype=torch.int64)
    train_on_both(
        task,
        task.model,
        tuning_recipe(task.recipe, epochs, lr),
        (task.retain_inputs, task.retain_labels),
        (task.forget_inputs, unknown),
        loss,
    )


def redrawn_labels(task: UnlearnTask) -> Loss:
    """Cross-entropy, with a label from all classes for every forgotten row that comes by."""
    generator, retained, num_classes = own_generator(task), len(task.retain_inputs), task.num_classes
    smoothing = task.recipe.label_smoothing

    def loss(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:
        drawn = torch.randint(num_classes, (len(y),), generator=generator).to(y.device)
        labels = torch.where(index < retained, y, drawn)
        return nn.functional.cross_entropy(model(x), labels, label_smoothing=smoothing)

    return loss


def wrong_labels(labels: Tensor, num_classes: int, generator: torch.Generator) -> Tensor:
    """For each label, int64 [N], one of the others with equal chances."""
    return (labels + torch.randint(1, num_classes, labels.shape, generator=generator)) % num_classes


def own_generator(task: UnlearnTask) -> torch.Generator:
    """For labels: the rows come in the order in which they come without."""
    return torch.Generator().manual_seed(task.seed)
