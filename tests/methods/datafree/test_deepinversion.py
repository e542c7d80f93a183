"""DeepInversion: pictures that the teacher recognises, the best of the iterates, and where it does not apply."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy

import methods.datafree.deepinversion as module
from bench import Skip
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.deepinversion import deepinversion, invert
from methods.datafree.generator import normalizer
from methods.datafree.references import kd_noise

WEIGHTS = {"bn": 1.0, "tv": 2.5e-5, "l2": 0.0}


@pytest.fixture
def classes() -> torch.Tensor:
    return torch.arange(20) % 10


def test_pictures_have_their_class_and_better_statistics(trained, make_task, classes):
    task = make_task(trained)
    before = copy.deepcopy(trained.state_dict())
    with BatchNormStatistics(trained) as statistics:
        start = invert(task, statistics, classes, iterations=1, lr=0.1, **WEIGHTS)
        trained(start)
        far = float(statistics.distance())
        pictures = invert(task, statistics, classes, iterations=60, lr=0.1, **WEIGHTS)
        logits = trained(pictures)
        near = float(statistics.distance())
    assert pictures.shape == (20, 1, 8, 8)
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    assert near < far / 2
    assert (logits.argmax(1) == classes).float().mean() > 0.6
    assert all(torch.equal(before[name], value) for name, value in trained.state_dict().items())


def test_without_statistics_the_classes_are_met_more_exactly(trained, make_task, classes):
    losses = []
    for bn in (0.0, 10.0):
        with BatchNormStatistics(trained) as statistics:
            pictures = invert(make_task(trained), statistics, classes, iterations=40, lr=0.1, bn=bn, tv=0.0, l2=0.0)
        losses.append(float(cross_entropy(trained(pictures), classes)))
    assert losses[0] < losses[1]


def test_the_best_iterate_is_kept_not_the_last(trained, make_task, classes):
    """Of noise and of what one enormous step makes of it, noise is nearer to the data."""
    task, again = make_task(trained), make_task(trained)
    with BatchNormStatistics(trained) as statistics:
        kept = invert(task, statistics, classes, iterations=2, lr=1e3, bn=10.0, tv=1.0, l2=0.0)
    mean, std = normalizer(trained)
    noise = torch.randn(20, 1, 8, 8, generator=again.generator) * std + mean
    torch.testing.assert_close(kept, noise.clamp(0, 1))


def test_a_teacher_without_batchnorm_is_a_reason_to_skip(make_task, untrained):
    with pytest.raises(Skip, match="BatchNorm statistics"):
        deepinversion(make_task(untrained(4, norm="layer")))


def test_students_learn_more_from_pictures_than_from_noise(trained, make_task, accuracy):
    student = deepinversion(make_task(trained, steps=60), batches=2, size=40, iterations=25)
    assert accuracy(student) > accuracy(kd_noise(make_task(trained, steps=60))) + 0.1


def test_a_plug_ins_term_pulls_the_pictures_with_its_images_and_logits(trained, make_task, classes):
    seen = []

    def dark(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        seen.append(torch.equal(trained(x), t))
        return 100 * x.square().mean()

    with BatchNormStatistics(trained) as statistics:
        plain = invert(make_task(trained), statistics, classes, iterations=30, lr=0.1, **WEIGHTS)
        pulled = invert(make_task(trained), statistics, classes, dark, iterations=30, lr=0.1, **WEIGHTS)
    assert len(seen) == 30
    assert all(seen)
    assert pulled.mean() < 0.75 * plain.mean()


def test_where_seconds_are_the_budget_synthesis_ends_in_time(trained, make_task):
    """Each inversion takes 0.2 of the budget by this clock: three begin before half of it is gone."""
    task, kept = make_task(trained, steps=4), []
    task.__dict__["monitor"].kept = kept.append
    training = module.StudentTraining(task)
    task.__dict__["budget"].spent = lambda done: min(1.0, 0.2 * len(kept) + 0.1 * done)
    module.deepinversion(task, training, batches=9, size=10, iterations=1)
    assert kept == [10, 20, 30]
    assert training.done == 4
