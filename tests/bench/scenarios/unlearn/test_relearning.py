"""What was only hidden comes back at once; a measure that changes nothing it looks at."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from bench.data.images.kind import ImageProblem
from bench.data.spec import Split
from bench.device import Device
from bench.errors import BadResult
from bench.models import build
from bench.models.train import fit
from bench.scenarios.unlearn import relearning
from bench.scenarios.unlearn.relearning import Lesson, anamnesis, relearn_steps, trainable
from bench.schema.recipe import Recipe

CLASSES, GONE = 4, 2
RECIPE = Recipe(epochs=60, batch_size=32, peak_lr=0.1, weight_decay=0.0, augment="none")


class Shape:
    """What `build` asks of a data set."""

    problem = partial(ImageProblem, shape=(1, 6, 6), mean=(0.5,), std=(0.29,))


@pytest.fixture(scope="module")
def rows():
    """Noise: a class is what was memorised of it."""
    draws = torch.Generator().manual_seed(1)
    return Split(torch.randint(0, 256, (240, 1, 6, 6), generator=draws, dtype=torch.uint8), torch.arange(240) % CLASSES)


def of_class(rows, wanted):
    return Split(rows.inputs[wanted], rows.labels[wanted])


@pytest.fixture(scope="module")
def parts(rows):
    gone = rows.labels == GONE
    return of_class(rows, gone), of_class(rows, ~gone)


def trained(split, seed):
    model = build("mlp", {"width": 64, "depth": 3}, CLASSES, Shape, seed=seed)
    draws = torch.Generator().manual_seed(seed)
    fit(model, split.inputs, split.labels, RECIPE, generator=draws, device=Device())
    return model


@pytest.fixture(scope="module")
def original(rows):
    return trained(rows, 0)


@pytest.fixture(scope="module")
def retrained(parts):
    return [trained(parts[1], seed) for seed in (1, 2)]


@pytest.fixture(scope="module")
def lesson(parts):
    return Lesson.of(*parts, torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def wanted(lesson, original):
    return lesson.wanted(original, CLASSES)


def masked(model):
    """As the reference `mask-class` does it."""
    found = copy.deepcopy(model)
    with torch.no_grad():
        found.head.weight[GONE] = 0
        found.head.bias[GONE] = -1e4
    return found


def test_the_original_has_nothing_to_relearn_and_a_retrained_model_has(original, retrained, lesson, wanted):
    assert relearn_steps(original, lesson, wanted, Device()) == 0
    for model in retrained:
        assert relearn_steps(model, lesson, wanted, Device()) >= 10


def test_a_masked_class_is_still_there(original, retrained, lesson, wanted):
    steps = relearn_steps(masked(original), lesson, wanted, Device())
    index = anamnesis(steps, [relearn_steps(model, lesson, wanted, Device()) for model in retrained])
    assert index < 0.3


def test_without_a_new_head_the_mask_would_hide_it(original, lesson, wanted):
    """Why there is one: a bias does not climb from -10,000."""

    class Wrapped(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.inside = model

        def forward(self, x):
            return self.inside(x)

    assert relearn_steps(Wrapped(masked(original)), lesson, wanted, Device()) == relearning.CAP
    assert relearn_steps(Wrapped(original), lesson, wanted, Device()) == 0


def test_the_model_is_left_as_it_was(retrained, lesson, wanted):
    model = retrained[0].train().requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    assert relearn_steps(model, lesson, wanted, Device()) == relearn_steps(model, lesson, wanted, Device())
    assert model.training
    assert all(not p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_what_diverges_counts_as_the_cap(retrained, lesson, wanted, monkeypatch):
    monkeypatch.setattr(relearning, "RATE", 1e30)
    assert relearn_steps(retrained[0], lesson, wanted, Device()) == relearning.CAP


def test_retained_rows_have_to_be_known_as_well(lesson, wanted):
    """Who always says the forgotten class has relearned nothing."""
    constant = build("mlp", {"width": 8, "depth": 1}, CLASSES, Shape, seed=0)
    with torch.no_grad():
        for p in constant.parameters():
            p.zero_()
        constant.head.bias[GONE] = 50.0
    assert relearn_steps(constant, lesson, wanted, Device()) == relearning.CAP


def test_what_is_wanted_is_the_originals_sureness(lesson):
    class Thirds(nn.Module):
        """A third for the forgotten class, the rest shared."""

        def forward(self, x):
            p = torch.full((len(x), CLASSES), 2 / 9)
            p[:, GONE] = 1 / 3
            return p.log()

    assert lesson.wanted(Thirds(), CLASSES) == pytest.approx((0.95 / 3, 0.95 * 2 / 9))


def test_a_lesson_is_a_part_of_what_there_is(rows, parts):
    draws = [Lesson.of(rows, parts[1], torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert len(draws[0].forget) == len(draws[0].retain) == relearning.ROWS
    assert torch.equal(draws[0].forget.inputs, draws[1].forget.inputs)
    assert not torch.equal(draws[0].forget.inputs, draws[2].forget.inputs)
    few = Lesson.of(of_class(rows, torch.arange(240) < 5), parts[1], torch.Generator())
    assert len(few.forget) == 5
    assert len(few.rows()) == 5 + relearning.ROWS


def test_batches_hold_as_many_retained_rows_as_forgotten_ones(parts):
    forget, retain = ((s.inputs.float(), s.labels) for s in (parts[0], of_class(parts[1], torch.arange(180) < 7)))
    batches = relearning._batches([forget, retain])
    assert [len(y) for _, y in batches] == [64, 56]  # of 60 forgotten rows
    labels = torch.cat([y for _, y in batches])
    assert int((labels == GONE).sum()) == 60
    assert torch.equal(batches[0][0][32:39], retain[0])


def test_the_index_by_hand():
    assert anamnesis(5, [10, 30]) == 0.25
    assert anamnesis(0, [3, 4]) == 0
    assert anamnesis(5, [0, 0]) is None


def test_who_can_be_trained_on(original):
    assert trainable(original)
    assert not trainable(lambda x: x)
    assert not trainable(nn.Flatten())


def test_a_model_that_cannot_be_copied_is_refused(original, lesson, wanted):
    stuck = copy.deepcopy(original)
    stuck.kept = stuck.head.weight * 2  # in the middle of a graph
    with pytest.raises(BadResult, match="cannot be copied"):
        relearn_steps(stuck, lesson, wanted, Device())
