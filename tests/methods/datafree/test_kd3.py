"""KD3: each part alone, and that without its parts it is plain distillation on the same images."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

import methods.datafree.kd3 as module
from bench import Skip
from bench.errors import AccessDenied
from methods.datafree.kd3 import Head, Selection, info_nce, kd3, mix_distribution, surest, weighted_square
from methods.datafree.references import kd_proxy

ACCESS = ("weights", "proxy")
OFF = {"rho": 1.0, "share_classifier": False, "contrast": 0.0}


@pytest.fixture
def task_on(make_task, trained):
    """`task_on(pool, **options)` -> a task whose images from elsewhere are `pool`, uint8 [N, 1, 8, 8]."""

    def make(pool, **options):
        task = make_task(copy.deepcopy(trained), access=ACCESS, **options)
        task.__dict__["proxy"] = pool
        return task

    return make


@pytest.fixture
def pool(digits):
    """300 images, two thirds of them noise, and which they are."""
    real = digits.train.inputs[:100]
    noise = torch.randint(0, 256, (200, 1, 8, 8), generator=torch.Generator().manual_seed(1)).byte()
    return torch.cat([real, noise]), torch.arange(300) >= 100


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_without_its_parts_it_is_kd_proxy_to_the_bit(task_on, pool):
    plain = kd_proxy(task_on(pool[0], steps=6))
    assert same(plain, kd3(task_on(pool[0], steps=6), **OFF))
    for part in ({"rho": 0.5}, {"share_classifier": True}, {"contrast": 0.1}):
        assert not same(plain, kd3(task_on(pool[0], steps=6), **OFF | part)), part


def test_noise_is_rarer_among_the_chosen(task_on, pool):
    images, is_noise = pool
    chosen, confidence = Selection(task_on(images), images, 0.5).choose(None)
    assert float(is_noise[chosen].float().mean()) < 0.8 * float(is_noise.float().mean())
    assert confidence.shape == (300,)


def test_no_class_exceeds_its_quota_and_the_surest_are_kept():
    draws = torch.Generator().manual_seed(0)
    confidence, classes = torch.rand(200, generator=draws), torch.randint(0, 4, (200,), generator=draws)
    classes[:120] = 2
    kept = surest(confidence, classes, 5, 0.5)
    assert kept.tolist() == sorted(set(kept.tolist()))
    for k in range(5):
        members = (classes == k).nonzero().flatten()
        best = members[confidence[members].argsort(descending=True)][:20]  # 0.5 * 200 images / 5 classes
        assert set(best.tolist()) == set(kept[classes[kept] == k].tolist())


def test_the_teacher_is_asked_once_and_the_student_in_eval_mode(task_on, pool):
    task = task_on(pool[0])
    asked, modes = [], []
    task.teacher.register_forward_pre_hook(lambda _, inputs: asked.append(len(inputs[0])))
    task.student.train().register_forward_pre_hook(lambda m, _: modes.append(m.training))
    selection = Selection(task, pool[0], 0.5)
    alone, _ = selection.choose(None)
    together, confidence = selection.choose(task.student)
    assert sum(asked) == len(pool[0])
    assert modes == [False]
    assert task.student.training
    assert not torch.equal(alone, together)
    with torch.no_grad():
        x = pool[0].float() / 255
        q = (task.teacher(x).softmax(1) + task.student.eval()(x).softmax(1)) / 2
    torch.testing.assert_close(confidence, q.max(1).values)


def test_images_are_chosen_anew_evenly_over_the_budget(task_on, pool, monkeypatch):
    students = []
    choose = Selection.choose
    monkeypatch.setattr(Selection, "choose", lambda self, s: students.append(s is not None) or choose(self, s))
    kd3(task_on(pool[0], steps=8), epochs=4)
    assert students == [False, True, True, True]


def test_folding_is_exact_and_leaves_the_shared_classifier(task_on, pool):
    task = task_on(pool[0], steps=4)
    before = copy.deepcopy(task.teacher.state_dict())
    heads = []
    original = module.Head
    try:
        module.Head = lambda t: heads.append(original(t)) or heads[-1]
        student = kd3(task).eval()
    finally:
        module.Head = original
    assert all(torch.equal(before[name], value) for name, value in task.teacher.state_dict().items())
    x = torch.rand(9, 1, 8, 8)
    with torch.no_grad():
        expected = task.teacher.head(heads[0].projection(student.features(x)))
        torch.testing.assert_close(student(x), expected, rtol=1e-4, atol=1e-5)


def test_the_harness_looks_at_the_folded_student(task_on, pool, monkeypatch):
    task = task_on(pool[0], steps=3)
    seen = []
    monkeypatch.setattr(task.monitor, "look", lambda student, *_: seen.append(copy.deepcopy(student)), raising=False)
    monkeypatch.setattr(task.monitor, "due", lambda _: True, raising=False)
    student = kd3(task)
    assert len(seen) == 3
    assert same(seen[-1], student)


def test_distance_of_features_by_hand():
    f, wanted = torch.tensor([[1.0, 3.0], [0.0, 0.0]]), torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    assert float(weighted_square(f, wanted, torch.tensor([1.0, 0.5]))) == pytest.approx((2.5 + 0.5 * 2) / 2)


def test_copies_keep_their_pattern_and_change_their_statistics():
    x = torch.rand(32, 2, 6, 6, generator=torch.Generator().manual_seed(0)) * torch.rand(32, 2, 1, 1)
    y = mix_distribution(x, torch.Generator().manual_seed(1))

    def pattern(a: torch.Tensor) -> torch.Tensor:
        return (a - a.mean((2, 3), keepdim=True)).flatten(2)

    cosine = torch.cosine_similarity(pattern(x), pattern(y), dim=2)
    turned = pattern(y).norm(dim=2) < 1e-6  # contrast that noise brought to nothing
    assert float(cosine[~turned].min()) > 0.999
    assert float((x.mean((2, 3)) - y.mean((2, 3))).abs().mean()) > 0.02


def test_images_without_contrast_stay_finite():
    y = mix_distribution(torch.ones(4, 1, 5, 5), torch.Generator().manual_seed(0))
    torch.testing.assert_close(y, torch.ones(4, 1, 5, 5))


def test_contrast_is_low_for_pairs_and_log_b_without_difference():
    f = one_hot(torch.arange(5)).float()
    assert float(info_nce(f, 3 * f, 0.1)) < 1e-3
    assert float(info_nce(f, f.roll(1, 0), 0.1)) > 9
    assert float(info_nce(torch.ones(5, 3), torch.ones(5, 3), 0.1)) == pytest.approx(torch.tensor(5.0).log().item())


def test_it_needs_images_from_elsewhere(make_task, trained):
    with pytest.raises(AccessDenied, match=r"touched task.proxy without access"):
        kd3(make_task(trained))


def test_a_classifier_that_is_no_linear_layer_is_a_reason_to_skip(task_on, pool):
    task = task_on(pool[0])
    task.teacher.head = nn.Sequential(task.teacher.head)
    with pytest.raises(Skip, match="linear classifier `head`"):
        Head(task)
