"""A request for no row at all: every method returns a model as accurate as the original, and none trips over it."""

import pytest
import torch

from bench import Skip, registry
from bench.errors import BenchError
from methods.unlearning.batches import endless, epoch

METHODS = sorted(name for name, method in registry.METHODS.entries.items() if "unlearn" in method.scenarios)
ANEW = {"scratch-fast", "retrain-clean"}
"""References that start anew: in a fraction of the epochs, and on rows that only the judge names."""
NEED_A_CLASS = {"mask-class", "unsir"}
"""They are told a class and no row: nothing is left for them to do where no class is named."""
UNCHANGED = {"original", "neggrad", "ssd", "salun", "influence", "boundary-shrink", "boundary-expand", "laf"}
"""They move weights for the sake of forgotten rows only."""
NOTHING = torch.tensor([], dtype=torch.int64)


@pytest.fixture
def right(dataset):
    """Share of validation images that a model gets right."""

    def measure(model):
        images, labels = dataset.validation.inputs, dataset.validation.labels
        with torch.inference_mode():
            return float((model.eval()(images.float() / 255).argmax(1) == labels).double().mean())

    return measure


@pytest.mark.parametrize("name", [name for name in METHODS if name not in NEED_A_CLASS | ANEW])
def test_accuracy_stays_where_it_was(name, make_task, original, same, right):
    model = registry.METHODS.get(name).function(make_task(name, rows=NOTHING))
    assert abs(right(model) - right(original)) < 0.07  # two standard errors of a difference, 150 rows at 0.9
    assert same(model, original) == (name in UNCHANGED)


@pytest.mark.parametrize("name", sorted(NEED_A_CLASS))
def test_without_a_class_there_is_nothing_to_do(name, make_task):
    with pytest.raises(Skip, match="whole class"):
        registry.METHODS.get(name).function(make_task(name, rows=NOTHING))


def test_of_no_images_there_is_no_batch():
    images = torch.zeros(0, 1, 8, 8, dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    assert list(epoch(images, 10, "shift", generator, torch.device("cpu"))) == []
    assert torch.equal(generator.get_state(), before)
    with pytest.raises(BenchError, match="no images"):
        next(endless(images, 10, "none", generator, torch.device("cpu")))
