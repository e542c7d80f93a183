"""PRE-DFKD: the memory's arithmetic, the batches' make-up, and the ablation without memory."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from bench import Skip
from methods.datafree.losses import class_balance, one_hot
from methods.datafree.pre_dfkd import pre_dfkd
from methods.datafree.vae_memory import VAEMemory, away_from_prior, kl_from_prior

SMALL = {"nz": 6, "ngf": 4, "memory_width": 4}


def memory_of(task, **options) -> VAEMemory:
    def match(t: torch.Tensor) -> torch.Tensor:
        return one_hot(t) + 5 * class_balance(t, base=10)

    return VAEMemory(task, match, **{"nz": 6, "width": 8, "lr": 3e-3, "lr_z": 0.02} | options)


def test_kl_is_that_of_normal_distributions():
    mean, log_variance = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0)).unbind()
    exact = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(kl_from_prior(mean, log_variance), exact)


def test_codes_of_mean_0_and_variance_1_are_on_the_prior():
    assert float(away_from_prior(torch.tensor([[-1.0], [1.0]]) / 2**0.5)) == pytest.approx(0, abs=1e-12)
    assert float(away_from_prior(torch.tensor([[3.0], [3.0]]))) == pytest.approx(9 + 1)


def test_it_learns_to_rebuild_images_and_what_the_teacher_says(trained, make_task, digits):
    task = make_task(trained)
    memory = memory_of(task)
    x = digits.train.inputs[:48].float() / 255
    t = trained(x)
    before = float(memory.loss(x, t).detach())
    for _ in range(60):
        memory.learn(x, t)
    assert float(memory.loss(x, t).detach()) < 0.8 * before
    assert memory.steps == 60
    assert all(p.grad is None for p in trained.parameters())


def test_tuned_codes_match_better_than_random_ones(trained, make_task):
    task = make_task(trained)
    memory = memory_of(task)

    def value(length: float) -> float:
        memory._lr_z = length
        task.generator.manual_seed(5)
        return float(memory._match(trained(memory.recall(32))))

    assert value(0.02) < value(0.0)


def test_recalling_changes_nothing_that_is_remembered(trained, make_task):
    memory = memory_of(make_task(trained))
    before = copy.deepcopy(memory.decoder.state_dict())
    images = memory.recall(5)
    assert images.shape == (5, 1, 8, 8)
    assert not images.requires_grad
    assert all(torch.equal(before[name], value) for name, value in memory.decoder.state_dict().items())


def test_batches_are_of_the_boards_size_and_the_memory_is_trained_on_time(trained, make_task, monkeypatch):
    seen, recalled, taught = [], [], []
    recall, learn = VAEMemory.recall, VAEMemory.learn
    monkeypatch.setattr(VAEMemory, "recall", lambda self, n: recalled.append(recall(self, n)) or recalled[-1])
    monkeypatch.setattr(VAEMemory, "learn", lambda self, x, t: taught.append((x, t)) or learn(self, x, t))
    task = make_task(copy.deepcopy(trained), steps=7, batch_size=16)
    task.student.register_forward_pre_hook(lambda m, inputs: seen.append(inputs[0]))
    pre_dfkd(task, replay=0.25, student_steps=3, memory_steps=2, **SMALL)
    assert [len(x) for x in seen] == [16] * len(seen)  # in one forward pass: BatchNorm sees both kinds together
    assert [len(x) for x in recalled] == [4] * 6  # the first update comes before there is a memory
    assert [len(x) for x, _ in taught] == [8 + 4] * 5  # half a batch and what was recalled; updates 1 2, 4 5, 7
    assert torch.equal(taught[-1][0][-4:], recalled[-1])
    torch.testing.assert_close(taught[-1][1], trained(taught[-1][0]), rtol=1e-4, atol=1e-4)


def test_without_replay_nothing_is_recalled_or_kept(trained, make_task, monkeypatch):
    def never(*_: object) -> None:
        raise AssertionError("touched the memory")

    monkeypatch.setattr(VAEMemory, "recall", never)
    monkeypatch.setattr(VAEMemory, "learn", never)
    student = pre_dfkd(make_task(trained, steps=4), replay=0.0, student_steps=2, **SMALL)
    assert all(p.isfinite().all() for p in student.parameters())


def test_the_memory_does_not_grow(trained, make_task, digits):
    memory = memory_of(make_task(trained))
    x = digits.train.inputs[:8].float() / 255
    memory.learn(x, trained(x))
    held = [p.shape for p in memory.decoder.parameters()]
    for _ in range(5):
        memory.learn(x, trained(x))
    assert [p.shape for p in memory.decoder.parameters()] == held
    assert not [name for name, value in vars(memory).items() if isinstance(value, torch.Tensor | list)]


@pytest.mark.parametrize("shape", [(3, 10, 13), (1, 28, 28)])
def test_other_shapes(untrained, make_task, shape):
    teacher = untrained(3, classes=4, shape=shape)
    student = pre_dfkd(make_task(teacher, shape=shape, classes=4, batch_size=5), student_steps=1, **SMALL)
    assert student.eval()(torch.rand(2, *shape)).isfinite().all()


def test_a_batch_of_two_is_a_reason_to_skip(trained, make_task):
    with pytest.raises(Skip, match="batch_size is 2"):
        pre_dfkd(make_task(trained, batch_size=2))


def test_a_teacher_without_batchnorm_is_a_reason_to_skip(make_task, untrained):
    with pytest.raises(Skip, match="BatchNorm statistics"):
        pre_dfkd(make_task(untrained(4, norm="layer")))
