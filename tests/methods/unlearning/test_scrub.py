"""SCRUB and SCRUB+R: what they reduce to, and what rewinding promises."""

import pytest
import torch
from torch import nn

from methods.unlearning.batches import epoch
from methods.unlearning.scrub import accuracy as share_right
from methods.unlearning.scrub import scrub, scrub_r


def test_without_max_steps_and_divergence_it_is_training_on(make_task, original):
    task = make_task("scrub")
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(original.parameters(), lr=1e-3)
    original.train()
    for _ in range(2):
        for x, rows in epoch(task.retain_images, 64, "shift", generator, torch.device("cpu")):
            optimizer.zero_grad()
            nn.functional.cross_entropy(original(x), task.retain_labels[rows], label_smoothing=0.1).backward()
            optimizer.step()
    model = scrub(task, epochs=2, msteps=0, alpha=0.0, gamma=1.0, retain_batch=64)
    for a, b in zip(model.parameters(), original.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_without_max_steps_the_forgotten_rows_do_not_matter(make_task, same):
    one = scrub(make_task("scrub"), epochs=1, msteps=0)
    noise = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    assert same(one, scrub(make_task("scrub", forget_images=noise), epochs=1, msteps=0))
    assert not same(one, scrub(make_task("scrub"), epochs=1, msteps=1))


def test_it_forgets_a_class_keeps_the_others_and_leaves_the_teacher(make_task, original, same, accuracy):
    task = make_task("scrub")
    model = scrub(task, forget_batch=8, retain_batch=64)
    assert same(task.model, original)
    assert accuracy(model, forgotten=True) < accuracy(original, forgotten=True) - 0.5
    assert accuracy(model) > accuracy(original) - 0.15


@pytest.mark.parametrize("rows", [None, torch.arange(60)])
def test_rewinding_is_never_farther_from_its_reference_than_the_last_epoch(make_task, rows):
    task = make_task("scrub-r", rows=rows)
    last, rewound = scrub(make_task("scrub", rows=rows)), scrub_r(task)
    alike = torch.isin(task.validation_labels, task.forget_labels)
    wanted = share_right(last, task.validation_images[alike], task.validation_labels[alike], 10)

    def distance(model):
        return abs(share_right(model, task.forget_images, task.forget_labels, 10) - wanted)

    assert distance(rewound) <= min(distance(last), distance(task.model))


def predicted(model, images):
    return model.eval()(images.float() / 255).argmax(1)


def test_rewinding_may_go_all_the_way_back(make_task, original, same):
    """Right about all unseen rows at the end, right about all forgotten ones only before the beginning."""
    task = make_task("scrub-r")
    hits = predicted(original, task.forget_images)
    unseen = predicted(scrub(make_task("scrub"), forget_batch=8), task.validation_images)
    task = make_task("scrub-r", forget_labels=hits, validation_labels=unseen)
    assert same(scrub_r(task, forget_batch=8), original)


def test_of_equally_near_checkpoints_the_latest_is_taken(make_task, original, same):
    hits = predicted(original, make_task("scrub-r").forget_images)
    rewound = scrub_r(make_task("scrub-r", forget_labels=hits), epochs=1, msteps=0, lr=1e-6)
    assert same(rewound, scrub(make_task("scrub"), epochs=1, msteps=0, lr=1e-6))
    assert not same(rewound, original)
