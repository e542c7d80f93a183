"""FitNets: Hints for Thin Deep Nets.

Adriana Romero, Nicolas Ballas, Samira Ebrahimi Kahou, Antoine Chassang, Carlo Gatta and Yoshua Bengio, ICLR 2015,
arXiv:1412.6550.

A regressor on the student's middle stage learns to give the teacher's activations of its middle stage, the hint.

Differs from the paper as the benchmarks' FitNet does (RepDistiller, mdistiller): the hint is learnt beside the labels
for all of training, where the paper first trains the student up to the guided layer on the hint alone and then distils
logits. Regressor and weight are RepDistiller's. Where it has no regressor for two sizes (a student's map that is
smaller than the hint by another factor than two), the hint is averaged down to the student's size.
"""

from __future__ import annotations

from torch import Tensor, nn

from bench import Skip, method
from bench.models.stages import matched
from bench.scenarios.distill import DistillTask
from bench.types import Weight
from methods.distillation.training import Batch, distil_features, first_look, same_size


@method(family="distillation", scenario="distill", access={"weights", "labels"}, paper="arXiv:1412.6550", year=2015)
def fitnets(task: DistillTask, *, weight: Weight = 100.0, layer: str = "middle") -> nn.Module:
    """Hints: the student's middle stage gives the teacher's activations, through a regressor.

    Args:
        weight: of the hint's mean squared error.
        layer: name of the student's stage that is guided; its partner is the hint.
    """
    pairs = matched(task.student, task.teacher)
    names = [mine.name for mine, _ in pairs]
    if layer != "middle" and layer not in names:
        raise Skip(f"the student has no stage {layer!r}; it has {', '.join(names)}")
    pair = pairs[(len(pairs) - 1) // 2 if layer == "middle" else names.index(layer)]
    student, teacher = first_look(task, [pair])
    regress = regressor(student.maps[0], teacher.maps[0])

    def loss(batch: Batch) -> Tensor:
        guess, hint = same_size(regress(batch.student.maps[0]), batch.teacher.maps[0])
        return batch.hard + weight * nn.functional.mse_loss(guess, hint)

    return distil_features(task, loss, pairs=[pair], connectors=[regress])


def regressor(student: Tensor, hint: Tensor) -> nn.Sequential:
    """Convolution, BatchNorm and ReLU from maps like the student's [B, C, H, W] to maps like the hint."""
    inputs, outputs, mine, wanted = student.shape[1], hint.shape[1], student.shape[2], hint.shape[2]
    conv: nn.Module
    if mine == 2 * wanted:
        conv = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
    elif 2 * mine == wanted:
        conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
    else:
        conv = nn.Conv2d(inputs, outputs, 1 + max(mine - wanted, 0))
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())
