"""Our distillation losses beside torchdistill's on the same tensors: value and gradient, or the difference by name.

tox -e peers      (installs torchdistill; without it these tests are skipped)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from methods.distillation.at import attention_loss
from methods.distillation.cc import correlations
from methods.distillation.crd import Bank, nce
from methods.distillation.dist import relations
from methods.distillation.logit_standardization import standardised
from methods.distillation.losses import distillation_kl
from methods.distillation.pkt import neighbour_loss
from methods.distillation.rkd import angle_loss, distance_loss, distances
from methods.distillation.sp import similarity_loss
from methods.distillation.vid import LEAST_VARIANCE, Gaussian

pytest.importorskip("torchdistill.losses.mid_level", reason="torchdistill is not installed; tox -e peers installs it")

pytestmark = pytest.mark.filterwarnings("ignore")  # torchdistill's own

LOGITS = {"student_module_path": "z", "student_module_io": "output"} | {
    "teacher_module_path": "z",
    "teacher_module_io": "output",
}
OUTPUTS = {"student_output_path": "z", "teacher_output_path": "z"}
ONE_PAIR = {"pair": {side: {"io": "output", "path": "z"} for side in ("student", "teacher")}}
B, C = 12, 7


def draw(seed: int, *shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def theirs(name: str, **options: Any) -> Callable[..., Tensor]:
    """(student's tensor, teacher's, labels) -> torchdistill's loss of that name."""
    from torchdistill.losses import mid_level

    loss = getattr(mid_level, name)(**options)
    return lambda student, teacher, labels=None: loss({"z": {"output": student}}, {"z": {"output": teacher}}, labels)


def agree(ours: Callable[..., Tensor], other: Callable[..., Tensor], student: Tensor, teacher: Tensor) -> None:
    """Equal values and equal gradients of the student to 1e-5."""
    found = []
    for loss in (ours, other):
        leaf = student.clone().requires_grad_()
        value = loss(leaf, teacher).sum()
        value.backward()
        found.append((value.detach(), leaf.grad))
    for mine, its in zip(*found, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-5 * max(1e-3, float(its.abs().max())))


def test_kd():
    labels = torch.arange(B) % C

    def ours(z: Tensor, goal: Tensor) -> Tensor:
        return 0.1 * nn.functional.cross_entropy(z, labels) + 0.9 * distillation_kl(z, goal, 4.0)

    loss = theirs("KDLoss", **LOGITS, temperature=4.0, alpha=0.1)
    agree(ours, lambda z, goal: loss(z, goal, labels), draw(0, B, C, scale=3), draw(1, B, C, scale=3))


def test_logit_standardization():
    labels = torch.arange(B) % C

    def ours(z: Tensor, goal: Tensor) -> Tensor:
        soft = distillation_kl(standardised(z), standardised(goal), 2.0)
        return 0.1 * nn.functional.cross_entropy(z, labels) + 9 * soft

    loss = theirs("LogitStdKDLoss", **LOGITS, temperature=2.0, alpha=0.1, beta=9.0)
    agree(ours, lambda z, goal: loss(z, goal, labels), draw(0, B, C, scale=3), draw(1, B, C, scale=3))


def test_dist():
    def ours(z: Tensor, goal: Tensor) -> Tensor:
        inter, intra = relations(z, goal, 4.0)
        return 2 * inter + 3 * intra

    loss = theirs("DISTLoss", **LOGITS, beta=2.0, gamma=3.0, tau=4.0)
    agree(ours, loss, draw(0, B, C, scale=3), draw(1, B, C, scale=3))


def test_attention_transfer():
    maps = draw(0, B, 3, 4, 4), draw(1, B, 5, 4, 4)
    agree(attention_loss, theirs("ATLoss", at_pairs=ONE_PAIR, mode="code"), *maps)


def test_similarity_preservation_has_rows_of_length_one_here_and_of_sum_one_in_torchdistill():
    """The paper and RepDistiller divide a row by its length; torchdistill passes p = 1 where it means the axis."""

    def of_sum_one(student: Tensor, teacher: Tensor) -> Tensor:
        tables = (nn.functional.normalize(z.flatten(1) @ z.flatten(1).T, p=1) for z in (student, teacher))
        return nn.functional.mse_loss(*tables)

    maps, loss = (draw(0, B, 3, 4, 4), draw(1, B, 5, 4, 4)), theirs("SPKDLoss", **OUTPUTS, reduction="batchmean")
    agree(of_sum_one, loss, *maps)
    assert float(similarity_loss(*maps)) > 2 * float(loss(*maps))


def test_probabilistic_transfer():
    agree(neighbour_loss, theirs("PKTLoss", **LOGITS), draw(0, B, 6), draw(1, B, 9))


@pytest.mark.parametrize(("distance", "angle"), [(1.0, 2.0), (25.0, 0.0), (0.0, 50.0)])
def test_relational_distillation(distance, angle):
    """float64: torchdistill takes distances from products, whose rounding a square root magnifies in float32."""

    def ours(z: Tensor, goal: Tensor) -> Tensor:
        mine, wanted = distances(z), distances(goal)
        return distance * distance_loss(mine, wanted) + angle * angle_loss(mine, wanted)

    loss = theirs("RKDLoss", **OUTPUTS, dist_factor=distance, angle_factor=angle, reduction="mean")
    agree(ours, loss, draw(0, B, 6).double(), draw(1, B, 9).double())


def test_variational_information():
    torch.manual_seed(0)
    guess = Gaussian(3, 5, 5.0)
    with torch.no_grad():
        guess.scale += torch.randn(5)
    loss = theirs("VIDLoss", feature_pairs=ONE_PAIR)

    def other(student: Tensor, teacher: Tensor) -> Tensor:
        variance = (nn.functional.softplus(guess.scale) + LEAST_VARIANCE).view(1, -1, 1, 1)
        return loss((guess.mean(student), variance), teacher)

    agree(guess, other, draw(0, B, 3, 4, 4), draw(1, B, 5, 4, 4))


def test_contrastive_distillation():
    """Two steps, so that the second one's scores come from updated banks and the first one's constants."""
    from torchdistill.losses.mid_level import CRDLoss

    images, width, negatives = 40, 8, 10
    paths = dict.fromkeys(("student_norm_module_path", "student_empty_module_path", "teacher_norm_module_path"), "z")
    sizes = {"input_size": width, "output_size": images, "num_samples": images, "num_negative_samples": negatives}
    other = CRDLoss(**paths, **sizes)
    banks = Bank(other.memory_v1.clone()), Bank(other.memory_v2.clone())
    generator = torch.Generator().manual_seed(0)
    for step in range(2):
        index = torch.randperm(images, generator=generator)[:B]
        rows = torch.cat([index[:, None], torch.randint(images, (B, negatives), generator=generator)], 1)
        pair = [nn.functional.normalize(draw(2 * step + side, B, width)) for side in range(2)]
        mine, its = ([z.clone().requires_grad_() for z in pair] for _ in range(2))
        ours = sum(nce(banks[1 - side].scores(mine[side], rows, 0.07), images) for side in range(2))
        ours.backward()
        for bank, z in zip(banks, mine, strict=True):
            bank.update(index, z.detach(), 0.5)
        seen = {"output": its[0], "input": {"pos_idx": index, "contrast_idx": rows}}
        value = other({"z": seen}, {"z": {"output": its[1]}})
        value.sum().backward()
        torch.testing.assert_close(ours.detach(), value.detach().squeeze(), rtol=1e-5, atol=0)
        for a, b in zip(mine, its, strict=True):
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5 * float(b.grad.abs().max()))
        torch.testing.assert_close(banks[0].rows, other.memory_v1)
        torch.testing.assert_close(banks[1].rows, other.memory_v2)


def test_correlation_congruence_has_the_same_tables_and_another_distance():
    """torchdistill takes the norm of the difference over B^2, not its square as the paper; theirs is sqrt(ours) / B."""
    unit = [nn.functional.normalize(draw(seed, B, 6)) for seed in (0, 1)]

    def ours(z: Tensor, goal: Tensor) -> Tensor:
        return nn.functional.mse_loss(correlations(z, 0.4, 2), correlations(goal, 0.4, 2)).sqrt() / B

    kernel = {"type": "gaussian", "gamma": 0.4, "max_p": 2}
    linear = {"student_linear_path": "z", "teacher_linear_path": "z"}
    agree(ours, theirs("CCKDLoss", **linear, kernel_config=kernel, reduction="batchmean"), *unit)
