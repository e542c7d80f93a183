"""DFQ: its loss term by term, and where it does not apply."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div

import methods.datafree.dfq as module
from bench import Skip
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.dfq import dfq

SMALL = {"nz": 8, "ngf": 4}


def test_modes_are_those_of_the_reference(trained, make_task, monkeypatch):
    """A round: one step of the generator by its batch, then the student on what it makes by running statistics."""
    seen = []

    class Noted(module.Online):
        def images(self, count):
            x = super().images(count)
            seen.append(("images", self.generator.training, False))
            return x

        def learn(self, student):
            seen.append(("learn", self.generator.training, student.training))
            return super().learn(student)

    class Watched(module.StudentTraining):
        def imitate(self, x, t=None):
            seen.append(("imitate", False, self.model.training))
            super().imitate(x, t)

    monkeypatch.setattr(module, "Online", Noted)
    task = make_task(trained, steps=3)
    student = module.dfq(task, Watched(task), student_steps=2, **SMALL)
    update = [("images", False, False), ("imitate", False, True)]
    learn = [("learn", True, False)]
    assert seen == [*learn, *update, *update, *learn, *update]
    assert student.training


def generators_loss(trained, make_task, monkeypatch, **weights: float) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss of the first step of the generator, and its terms by their formulas on the same images."""
    task = make_task(trained, steps=2)
    caught = []

    class Noted(module.Online):
        def __init__(self, task, loss, **options):
            def noted(x, t, student):
                value = loss(x, t, student)
                caught.append((value.detach(), x.detach(), t.detach(), student(x).detach()))
                return value

            super().__init__(task, noted, **options)

    monkeypatch.setattr(module, "Online", Noted)
    dfq(task, student_steps=1, **SMALL, **weights)
    value, x, t, s = caught[0]
    with BatchNormStatistics(trained) as statistics, torch.no_grad():
        trained(x)
        p = t.softmax(1).mean(0)
        terms = {
            "adv": -kl_div(s.log_softmax(1), t.softmax(1), reduction="batchmean"),
            "bn": statistics.distance(),
            "oh": cross_entropy(t, t.argmax(1)),
            "balance": (p * p.log()).sum(),
        }
    return value, terms


@pytest.mark.parametrize("name", ["adv", "bn", "oh", "balance"])
def test_each_term_has_its_weight(trained, make_task, monkeypatch, name):
    weights = dict.fromkeys(["adv", "bn", "oh", "balance"], 0.0) | {name: 3.0}
    value, terms = generators_loss(trained, make_task, monkeypatch, **weights)
    torch.testing.assert_close(value, 3 * terms[name])


def test_by_default_all_take_part(trained, make_task, monkeypatch):
    value, terms = generators_loss(trained, make_task, monkeypatch)
    torch.testing.assert_close(value, terms["adv"] + terms["bn"] + terms["oh"] + 20 * terms["balance"])


def test_a_teacher_without_batchnorm_is_a_reason_to_skip(make_task, untrained):
    with pytest.raises(Skip, match="BatchNorm statistics"):
        dfq(make_task(untrained(4, norm="layer")))
