"""CMI: the contrastive loss and its bank, views, what is left without them, and that images come out more different."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from bench import Skip
from bench.models.augment import augment
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.cmi import cmi, invert
from methods.datafree.contrast import Contrast, FeatureBank, instance_discrimination, random_resized_crop
from methods.datafree.generator import Generator
from methods.datafree.inversion import InversionLoss, Lowest, at_rest
from methods.datafree.losses import decision_adversarial
from methods.datafree.student import StudentTraining


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_disagreement_counts_only_where_both_decide_alike():
    t = torch.tensor([[4.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    s = torch.tensor([[1.0, 0.0, 0.5], [2.0, 0.0, 0.0]], requires_grad=True)  # agrees on the first image only
    value = decision_adversarial(s, t)
    p, q = t[0].softmax(0), s[0].softmax(0)
    torch.testing.assert_close(value, -(p * (p / q).log()).sum() / 2)
    value.backward()
    assert s.grad is not None
    assert s.grad[0].abs().sum() > 0
    assert s.grad[1].abs().sum() == 0


def test_lowest_keeps_a_copy_of_the_best():
    best, x = Lowest(), torch.zeros(2)
    for loss, value in ((3.0, 1.0), (1.0, 2.0), (2.0, 3.0)):
        x.fill_(value)
        best.offer(torch.tensor(loss), x)
    assert best.kept[0].tolist() == [2.0, 2.0]


def test_without_contrast_and_disagreement_the_loss_is_deepinversions(trained, make_task, untrained):
    """CE + R_bn of augmented images, and the student is never asked."""
    student = untrained(4)
    student.register_forward_pre_hook(lambda *_: pytest.fail("the student was asked"))
    task, again = make_task(trained), make_task(trained)
    images, classes = torch.rand(10, 1, 8, 8, generator=rng()), torch.arange(10)
    with BatchNormStatistics(trained) as statistics:
        value = InversionLoss(task, student, statistics, bn=2.0, oh=0.5, adv=0.0)(images, classes)
        z = trained(augment(images, "shift", again.generator))
        torch.testing.assert_close(value, 0.5 * cross_entropy(z, classes) + 2.0 * statistics.distance())


def test_a_further_term_is_told_the_images_the_teacher_saw(trained, make_task):
    seen = []

    def term(x, t):
        seen.append((x, t))
        return x.sum() * 0 + 7.0

    images, classes = torch.rand(10, 1, 8, 8, generator=rng()).requires_grad_(), torch.arange(10)
    values = []
    with BatchNormStatistics(trained) as statistics:
        for extra in (None, term):
            task = make_task(trained)
            values.append(InversionLoss(task, trained, statistics, extra, bn=1.0, oh=1.0, adv=0.0)(images, classes))
    torch.testing.assert_close(values[1], values[0] + 7.0)
    x, t = seen[0]
    assert x.requires_grad
    torch.testing.assert_close(trained(x), t)


def test_transfer_hands_the_term_to_every_step_of_synthesis(trained, make_task):
    calls = []
    task = make_task(trained, steps=3)
    cmi(task, StudentTraining(task), lambda x, t: calls.append(len(x)) or x.sum() * 0, **SMALL, kd_steps=2)
    assert calls == [12] * 2 * SMALL["g_steps"]  # 3 updates, 2 for a batch


def test_the_bank_is_first_in_first_out():
    bank = FeatureBank(5, 2)
    assert bank.sample(3, rng()).shape == (0, 2)
    for i in range(4):
        bank.add(torch.full((2, 2), float(i)))
    assert bank.rows[:, 0].tolist() == [1, 2, 2, 3, 3]
    sample = bank.sample(4, rng())
    assert sample.shape == (4, 2)
    assert len(bank.sample(99, rng())) == 5


def test_instance_discrimination_is_two_means_of_cross_entropies():
    keys = torch.eye(4)
    loss = instance_discrimination(keys, keys, 0.5, new=1)
    one = math.log(math.exp(2) + 3) - 2  # own key at cosine 1, three others at 0, temperature 1/2
    assert float(loss) == pytest.approx(2 * one, rel=1e-5)
    assert float(instance_discrimination(keys, keys, 0.5, new=4)) == pytest.approx(one, rel=1e-5)
    shuffled = instance_discrimination(keys, keys.roll(1, 0), 0.5, new=4)
    assert shuffled > one + 1


@pytest.fixture
def contrast_of(make_task):
    def make(teacher, statistics, **changed):
        options = {"cr": 1.0, "cr_T": 0.1, "n_neg": 8, "bank_size": 16, "head_dim": 8, "lr": 1e-2}
        return Contrast(make_task(teacher), statistics, **(options | changed))

    return make


def test_first_round_has_an_empty_bank_and_later_ones_do_not(trained, contrast_of):
    images = torch.rand(6, 1, 8, 8, generator=rng())
    with BatchNormStatistics(trained) as statistics:
        contrast = contrast_of(trained, statistics)
        trained(images)
        first, features = contrast(images)
        assert 0 < first < 10 * math.log(6)
        assert features.shape == (6, contrast.bank.rows.shape[1])
        assert not features.requires_grad
        contrast.bank.add(features)
        trained(images)
        assert contrast(images)[0] > first  # a mean over remembered rows more, among more candidates


def test_no_gradient_through_the_global_view(trained, contrast_of):
    """What the teacher was shown as the global view gets none; the local view of the same images does."""
    view = torch.rand(6, 1, 8, 8, generator=rng()).requires_grad_()
    images = torch.rand(6, 1, 8, 8, generator=rng(1)).requires_grad_()
    with BatchNormStatistics(trained) as statistics:
        contrast = contrast_of(trained, statistics)
        trained(view)
        contrast(images)[0].backward()
    assert view.grad is None
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert all(p.grad is not None for p in contrast.head.parameters())


def test_crops_stay_inside_and_whole_ones_change_nothing():
    images = torch.rand(8, 3, 6, 6, generator=rng())
    torch.testing.assert_close(random_resized_crop(images, rng(), scale=(16 / 9, 2.0)), images)
    ramp = torch.linspace(0, 1, 16).expand(64, 1, 16, 16)
    crops = random_resized_crop(ramp, rng())
    widths = (crops[:, 0, 0, -1] - crops[:, 0, 0, 0]) / (ramp[0, 0, 0, -1] - ramp[0, 0, 0, 0])
    assert crops.min() >= 0
    assert crops.max() <= 1
    assert widths.min() > 0.3
    assert widths.max() <= 1.0
    assert widths.std() > 0.05
    mirrored = random_resized_crop(ramp, rng(), flip=True)
    assert 16 < int((mirrored[:, 0, 0, -1] < mirrored[:, 0, 0, 0]).sum()) < 48


def test_gradients_reach_the_images_of_a_crop():
    images = torch.rand(2, 1, 4, 4, generator=rng(), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: random_resized_crop(x, rng(), flip=True), images)


def batches(trained, make_task, *, cr: float, rounds: int = 3) -> torch.Tensor:
    """Images of some rounds by a real teacher."""
    task = make_task(trained)
    torch.manual_seed(0)
    generator = Generator(16, 8, (1, 8, 8), torch.nn.Sigmoid())
    with BatchNormStatistics(trained) as statistics:
        loss = InversionLoss(task, trained, statistics, bn=1.0, oh=0.5, adv=0.0)
        options = {"cr_T": 0.1, "n_neg": 64, "bank_size": 128, "head_dim": 32, "lr": 5e-3}
        contrast = Contrast(task, statistics, cr=cr, **options) if cr else None
        made = [invert(task, generator, loss, contrast, g_steps=25, size=32, lr_g=5e-3) for _ in range(rounds)]
    return torch.cat(made)


def mean_cosine(trained, images: torch.Tensor) -> float:
    """Between the penultimate features of different images."""
    with torch.no_grad():
        f = normalize(trained.features(images))
    n = len(f)
    return float(((f @ f.T).sum() - n) / (n * (n - 1)))


def test_contrast_makes_images_more_different(trained, make_task):
    plain, contrastive = (mean_cosine(trained, batches(trained, make_task, cr=cr)) for cr in (0.0, 3.0))
    assert contrastive < plain


SMALL = {"g_steps": 2, "size": 12, "n_neg": 8, "bank_size": 16, "head_dim": 8, "nz": 8, "ngf": 4}


@pytest.mark.parametrize("cr", [0.0, 0.8])
def test_runs_within_its_budget_and_leaves_the_teacher_alone(trained, make_task, cr):
    before = copy.deepcopy(trained.state_dict())
    student = cmi(make_task(trained, steps=5), **SMALL, kd_steps=2, cr=cr)
    assert student.training
    assert all(p.requires_grad for p in student.parameters())
    assert all(torch.equal(before[name], value) for name, value in trained.state_dict().items())


def test_the_student_rests_in_synthesis(untrained):
    student = untrained(4).requires_grad_(True).train()
    with at_rest(student):
        assert not student.training
        assert not any(p.requires_grad for p in student.parameters())
    assert student.training
    assert all(p.requires_grad for p in student.parameters())


def test_a_teacher_without_batchnorm_is_a_reason_to_skip(make_task, untrained):
    with pytest.raises(Skip, match="BatchNorm statistics"):
        cmi(make_task(untrained(4, norm="layer")))
