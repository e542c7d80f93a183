"""Bad Teacher: whom a row learns from, and that there is nothing to learn where nothing is to be forgotten."""

import pytest
import torch

from bench import AccessDenied
from methods.unlearning.bad_teacher import bad_teacher, two_teachers


@pytest.mark.parametrize("hidden", ["retain_labels", "forget_labels", "forget_class", "validation_labels"])
def test_no_label_is_in_reach(make_task, hidden):
    with pytest.raises(AccessDenied, match=hidden):
        getattr(make_task("bad-teacher"), hidden)


def test_the_original_has_nothing_to_learn_about_retained_rows(make_task, original):
    task = make_task("bad-teacher")
    x = task.retain_inputs.float() / 255
    loss = two_teachers(task.model, task.student, 1.0)
    value = loss(original.eval(), x, torch.zeros(len(x), dtype=torch.int64), torch.arange(len(x)))
    value.backward()
    assert float(value.detach()) == 0
    assert max(float(p.grad.abs().max()) for p in original.parameters()) < 1e-6
    value = loss(original, x, torch.ones(len(x), dtype=torch.int64), torch.arange(len(x)))
    assert float(value.detach()) > 0.1


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_loss_by_hand(make_task, temperature):
    task = make_task("bad-teacher")
    good, bad = task.model.eval(), task.student.eval()
    x = torch.cat([task.retain_inputs[:6], task.forget_inputs[:4]]).float() / 255
    y = torch.tensor([0] * 6 + [1] * 4)
    student = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    with torch.no_grad():
        target = torch.cat([good(x[:6]), bad(x[6:])]).div(temperature).softmax(1)
        log_p = student(x).div(temperature).log_softmax(1)
        by_hand = temperature**2 * (target * (target.log() - log_p)).sum(1).mean()
        value = two_teachers(good, bad, temperature)(student, x, y, torch.arange(10))
    assert float(value) == pytest.approx(float(by_hand), rel=1e-4)


@pytest.mark.parametrize(("share", "steps"), [(1.0, 7), (0.3, 2), (1e-9, 1)])
def test_a_share_of_the_retained_rows_is_trained_on(make_task, share, steps):
    """500 rows, 43 to 57 of them forgotten, in batches of 64; a handful of rows is one batch."""
    totals = []
    task = make_task("bad-teacher", progress=lambda done, total: totals.append(total))
    rows = max(1, round(share * len(task.retain_inputs))) + len(task.forget_inputs)
    assert max(1, rows // 64) == steps
    bad_teacher(task, share=share, epochs=2)
    assert totals == [2 * steps] * (2 * steps)


def test_teachers_stay_as_they_are(make_task, original, same):
    task = make_task("bad-teacher")
    untrained = make_task("bad-teacher").student
    model = bad_teacher(task)
    assert same(task.model, original)
    assert same(task.student, untrained)
    assert not same(model, original)
    assert all(p.requires_grad for p in model.parameters())


def test_it_forgets_a_class_with_high_entropy_and_keeps_the_others(make_task, original, accuracy):
    task = make_task("bad-teacher")
    model = bad_teacher(task, epochs=10, lr=5e-3)

    def entropy(network):
        with torch.no_grad():
            p = network.eval()(task.forget_inputs.float() / 255).softmax(1)
        return float(-(p * p.clamp(min=1e-12).log()).sum(1).mean())

    assert entropy(model) > entropy(original) + 0.2
    assert accuracy(model, forgotten=True) < accuracy(original, forgotten=True) - 0.3
    assert accuracy(model) > accuracy(original) - 0.1
