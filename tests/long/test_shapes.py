"""What is drawn has the bytes it is known by, and is hard for a linear model."""

import torch
from sklearn.linear_model import LogisticRegression

from bench.data import fetch, load
from bench.data.spec import DataSpec
from bench.device import Device, as_input
from bench.models import build
from bench.models.train import fit
from bench.schema.recipe import Recipe


def test_the_stand_in_for_pictures_has_the_bytes_it_is_known_by():
    assert fetch("shapes40").variant == "shapes40"


def test_a_linear_model_fails_where_a_small_network_does_not():
    """A small form: with 10,000 images the linear model stays far below 45 % and a ResNet-8 passes 75 %."""
    dataset = load(DataSpec(name="shapes32", train=6000, test=1000))
    assert dataset.variant == "shapes32"
    x, y = dataset.train.inputs.flatten(1).numpy() / 255 - 0.5, dataset.train.labels.numpy()
    linear = LogisticRegression(C=1e-3, max_iter=30, tol=1e-2).fit(x, y)
    assert linear.score(dataset.test.inputs.flatten(1).numpy() / 255 - 0.5, dataset.test.labels.numpy()) < 0.45
    model = build("resnet8", {"width": 16}, 10, dataset, seed=0)
    generator = torch.Generator().manual_seed(0)
    recipe = Recipe(epochs=8, batch_size=64)
    fit(model, dataset.train.inputs, dataset.train.labels, recipe, generator=generator, device=Device())
    with torch.inference_mode():
        guesses = torch.cat([model(as_input(batch)).argmax(1) for batch in dataset.test.inputs.split(250)])
    assert (guesses == dataset.test.labels).double().mean() > 0.45
