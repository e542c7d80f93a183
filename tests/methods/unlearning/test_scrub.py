"""SCRUB and SCRUB+R: what they reduce to, and what rewinding promises."""

import itertools

import pytest
import torch
from torch import nn

from methods.unlearning.batches import divided, endless
from methods.unlearning.scrub import scrub, scrub_r, share_right


def test_without_max_steps_and_divergence_it_is_training_on(make_task, original):
    """By Adam with the recipe's weight decay on every parameter; its batches go on from turn to turn."""
    task = make_task("scrub")
    assert task.recipe.weight_decay > 0
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(original.parameters(), lr=1e-3, weight_decay=task.recipe.weight_decay)
    original.train()
    for x, rows in itertools.islice(endless(task.retain_inputs, 64, "shift", generator, torch.device("cpu")), 12):
        optimizer.zero_grad()
        nn.functional.cross_entropy(original(x), task.retain_labels[rows], label_smoothing=0.1).backward()
        optimizer.step()
    model = scrub(task, turns=3, ascent_turns=0, descents=4, alpha=0.0, gamma=1.0, batch_size=64)
    for a, b in zip(model.parameters(), original.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_without_max_steps_the_forgotten_rows_do_not_matter(make_task, same):
    one = scrub(make_task("scrub"), turns=1, ascent_turns=0)
    noise = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    assert same(one, scrub(make_task("scrub", forget_inputs=noise), turns=1, ascent_turns=0))
    assert not same(one, scrub(make_task("scrub"), turns=1, ascent_turns=1))


def test_it_forgets_a_class_keeps_the_others_and_leaves_the_teacher(make_task, original, same, accuracy):
    task = make_task("scrub")
    model = scrub(task)
    assert same(task.model, original)
    assert accuracy(model, forgotten=True) < accuracy(original, forgotten=True) - 0.5
    assert accuracy(model) > accuracy(original) - 0.15


@pytest.mark.parametrize("rows", [None, torch.arange(60)])
def test_rewinding_is_never_farther_from_its_reference_than_the_last_turn(make_task, rows):
    task = make_task("scrub-r", rows=rows)
    last, rewound = scrub(make_task("scrub", rows=rows)), scrub_r(task)
    alike = torch.isin(task.validation_labels, task.forget_labels)
    wanted = share_right(last, task.validation_inputs[alike], task.validation_labels[alike], 10)

    def distance(model):
        return abs(share_right(model, task.forget_inputs, task.forget_labels, 10) - wanted)

    assert distance(rewound) <= min(distance(last), distance(task.model))


def predicted(model, images):
    return model.eval()(images.float() / 255).argmax(1)


def test_rewinding_may_go_all_the_way_back(make_task, original, same):
    """Right about all unseen rows at the end, right about all forgotten ones only before the beginning."""
    task = make_task("scrub-r")
    hits = predicted(original, task.forget_inputs)
    unseen = predicted(scrub(make_task("scrub")), task.validation_inputs)
    task = make_task("scrub-r", forget_labels=hits, validation_labels=unseen)
    assert same(scrub_r(task), original)


def test_of_equally_near_checkpoints_the_latest_is_taken(make_task, original, same):
    hits = predicted(original, make_task("scrub-r").forget_inputs)
    rewound = scrub_r(make_task("scrub-r", forget_labels=hits), turns=1, ascent_turns=0, lr=1e-6)
    assert same(rewound, scrub(make_task("scrub"), turns=1, ascent_turns=0, lr=1e-6))
    assert not same(rewound, original)


@pytest.mark.parametrize(("forgotten", "ascents"), [(0, 0), (1, 1), (3, 1), (13, 6), (14, 7), (60, 7)])
def test_effort_is_counted_in_updates_however_few_rows_are_forgotten(make_task, forgotten, ascents):
    told = []
    rows = torch.arange(forgotten)
    task = make_task("scrub", rows=rows, progress=lambda done, total: told.append((done, total)))
    if forgotten == 1:  # BatchNorm cannot normalise one row by itself
        task.model.norms = nn.ModuleList(nn.Identity() for _ in task.model.norms)
    scrub(task, turns=4, ascent_turns=3, descents=5)
    updates = 3 * ascents + 4 * 5
    assert told == [(done, updates) for done in range(1, updates + 1)]


def test_a_pass_of_ascent_meets_every_forgotten_row_once():
    images, generator = torch.zeros(60, 1, 8, 8, dtype=torch.uint8), torch.Generator().manual_seed(0)
    rows = [rows for _, rows in divided(images, 7, "none", generator, torch.device("cpu"))]
    assert [len(some) for some in rows] == [9, 9, 9, 9, 8, 8, 8]
    assert torch.cat(rows).sort().values.tolist() == list(range(60))


def test_weight_decay_alone_gives_the_ascent_its_first_direction(make_task):
    """Without BatchNorm the student begins where its teacher stands, and all else in the gradient is rounding."""
    inwards = {}
    for decay in (0.0, 5e-4):
        task = make_task("scrub")
        task.model.norms = nn.ModuleList(nn.Identity() for _ in task.model.norms)
        task.recipe = task.recipe.model_copy(update={"weight_decay": decay, "augment": "none"})
        before = [p.detach().clone() for p in task.model.parameters()]
        model = scrub(task, turns=1, ascent_turns=1, ascents=1, descents=1, alpha=0.0, gamma=0.0)
        moves = zip(model.parameters(), before, strict=True)
        towards = torch.cat([((p.detach() - b).sign() == -b.sign())[b != 0].flatten() for p, b in moves])
        inwards[decay] = float(towards.double().mean())
    assert inwards[0.0] < 0.6
    assert inwards[5e-4] > 0.99
