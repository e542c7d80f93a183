"""The text classifier: what it reads, that padding and neighbours leave no trace, what any standard model owes."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from bench.data.spec import Split
from bench.data.texts.kind import TextProblem, Texts
from bench.data.texts.tokens import Vocabulary
from bench.device import Device, as_input
from bench.errors import BenchError
from bench.models import build
from bench.models.make import set_class_means_head
from bench.models.permutation import permute, random_permutations, sizes
from bench.models.text import TextClassifier, text_classifier, unpack
from bench.models.train import fit
from bench.schema.recipe import Recipe

LENGTHS = (5, 12, 1, 7, 3)


def make(length: int = 12, seed: int = 0, **options: int) -> TextClassifier:
    torch.manual_seed(seed)
    small = {"width": 12, "depth": 2, "heads": 3, **options}
    return text_classifier(TextProblem(4, length, 600), **small).eval()


def as_rows(texts: list[list[int]], length: int = 12) -> Tensor:
    """int64 [N, length] of lists of token numbers."""
    return torch.tensor([text + [0] * (length - len(text)) for text in texts])


@pytest.fixture
def texts() -> list[list[int]]:
    """Random texts of unlike lengths."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(1, 600, (n,), generator=generator).tolist() for n in LENGTHS]


@pytest.mark.parametrize("other", [torch.uint8, torch.float32, torch.float64])
def test_what_is_no_row_of_token_numbers_is_refused(texts, other):
    with pytest.raises(BenchError, match=r"int64|no kind"):
        make()(as_rows(texts).to(other))


def test_rows_are_the_real_tokens_text_by_text(texts):
    found = unpack(as_input(as_rows(texts, 20)))
    assert found.numbers.tolist() == list(itertools.chain(*texts))
    assert found.places.tolist() == list(itertools.chain(*(range(n) for n in LENGTHS)))
    assert found.mask.shape == (5, 1, 1, 12)  # cut to the longest
    assert found.lengths.flatten().tolist() == list(LENGTHS)
    padded = found.pad(found.numbers)
    assert padded.tolist() == [text + [0] * (12 - len(text)) for text in texts]


def test_the_function_is_that_of_a_plain_encoder_on_each_text_alone(texts):
    """The encoder of `bench.models.transformer`, which knows neither packing nor masks, is run text by text."""
    model = make().double()
    z = model(as_input(as_rows(texts), torch.float64))
    for text, row in zip(texts, z, strict=True):
        x = model.embed(torch.tensor([text])) + model.position[:, : len(text)]
        torch.testing.assert_close(row, model.head(model.encoder(x).mean(1))[0], rtol=1e-10, atol=1e-10)


def test_padding_and_the_other_texts_of_a_batch_leave_no_trace(texts):
    model = make(length=40)
    together = model(as_input(as_rows(texts, 12)))
    torch.testing.assert_close(model(as_input(as_rows(texts, 40))), together, rtol=0, atol=1e-5)
    alone = torch.cat([model(as_input(as_rows([text], 12))) for text in texts])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)
    swapped = model(as_input(as_rows(texts[::-1], 12))).flip(0)
    torch.testing.assert_close(swapped, together, rtol=0, atol=1e-5)
    assert together.std(0).min() > 0.01  # unlike texts do differ


def test_order_of_the_tokens_matters(texts):
    z = make()(as_input(as_rows([texts[1], texts[1][::-1]])))
    assert (z[0] - z[1]).abs().max() > 0.01


def test_a_text_without_tokens_is_finite_and_so_are_gradients(texts):
    model = make()
    z = model(as_input(as_rows([[], *texts])))
    torch.testing.assert_close(z[0], model.head.bias)
    torch.testing.assert_close(z[1:], model(as_input(as_rows(texts))), rtol=0, atol=1e-5)
    z.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert model(as_input(as_rows([[], []]))).isfinite().all()


def test_reordered_units_compute_the_same(texts):
    model = make().double()
    with torch.no_grad():
        for p in model.parameters():  # norms too: at their initial values they would not show a wrong axis
            p.add_(torch.randn_like(p), alpha=0.1)
    spec, state = model.permutation_spec(), model.state_dict()
    assert spec.axes.keys() == state.keys()
    assert sizes(spec, state) == {"stream": 12, "heads0": 3, "ff0": 24, "heads1": 3, "ff1": 24}
    perms = random_permutations(spec, state, torch.Generator().manual_seed(3))
    moved = make().double()
    moved.load_state_dict(permute(state, spec, perms))
    x = as_input(as_rows(texts), torch.float64)
    torch.testing.assert_close(moved(x), model(x), rtol=1e-10, atol=1e-10)
    assert not torch.equal(moved.embed.weight, model.embed.weight)


def test_writers_of_a_group_are_modules_whose_outputs_are_rows_of_its_units(texts):
    model, shapes = make(), {}
    spec = model.permutation_spec()
    for group, layers in spec.writers.items():
        for layer in layers:
            model.get_submodule(layer).register_forward_hook(
                lambda _, __, out, key=(group, layer): shapes.update({key: out.shape})
            )
    model(as_input(as_rows(texts)))
    width = {"stream": 12, "heads": 12, "ff": 24}
    for group, layers in spec.writers.items():
        for layer in layers:
            assert shapes[group, layer] == (sum(LENGTHS), width[group.rstrip("01")])


def test_gradients_flow_through_weights_that_are_passed_in(texts):
    model, x = make(), as_input(as_rows(texts))
    weights = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    functional_call(model, weights, (x,)).square().sum().backward()
    model(x).square().sum().backward()
    for name, p in model.named_parameters():
        torch.testing.assert_close(weights[name].grad, p.grad)
        if not name.endswith("k.bias"):  # which a softmax over keys does not see
            assert p.grad.abs().max() > 1e-6, name


def test_copies_and_restored_states_are_the_same_network(texts):
    model, other, x = make(), make(seed=1), as_input(as_rows(texts))
    assert torch.equal(copy.deepcopy(model)(x), model(x))
    assert not torch.equal(other(x), model(x))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(x), model(x))


def test_mixed_precision_comes_near(texts):
    model, x = make(), as_input(as_rows(texts))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model(x)
        mixed.float().square().sum().backward()
    torch.testing.assert_close(mixed.float(), model(x), rtol=0, atol=0.05)
    assert all(p.grad.isfinite().all() for p in model.parameters())


def topics(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Texts of 4 topics: one word in four is a topic's own, the others anybody's."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 4
    words = []
    for label in labels.tolist():
        n = int(torch.randint(6, 13, (), generator=generator))
        common = torch.randint(50, 600, (n,), generator=generator)
        own = torch.randint(10 * label + 2, 10 * label + 12, (n,), generator=generator)
        words.append(torch.where(torch.rand(n, generator=generator) < 0.25, own, common).tolist())
    return as_rows(words), labels


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return float((model(as_input(images)).argmax(1) == labels).double().mean())


def test_untrained_features_tell_classes_apart_by_their_means():
    model = make(width=48)
    set_class_means_head(model, Split(*topics(400, 0)))
    assert accuracy(model, *topics(400, 1)) > 0.35  # chance is 0.25 +- 0.02


def test_training_learns_by_the_projects_own_loop():
    model = make(width=24)
    recipe = Recipe(epochs=6, batch_size=32, optimizer="adamw", peak_lr=5e-3, augment="none")
    fit(model, *topics(400, 0), recipe, generator=torch.Generator().manual_seed(0), device=Device())
    assert accuracy(model, *topics(400, 1)) > 0.6  # chance is 0.25


def test_suites_build_it_by_its_name():
    split = Split(torch.ones(2, 30, dtype=torch.int64), torch.tensor([0, 1]))
    data = Texts("x", "x", "0", ("a", "b"), split, split, split, Vocabulary(("one", "two"), 50))
    arch = "text_classifier"
    model, same = (build(arch, {"width": 16}, 3, data, seed=5) for _ in range(2))
    assert model.position.shape == (1, 30, 16)
    assert model.embed.weight.shape == (50, 16)  # the data set's vocabulary
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), same.parameters(), strict=True))
    with pytest.raises(BenchError, match="has no option 'widht'"):
        build(arch, {"widht": 16}, 3, data, seed=5)
    with pytest.raises(
        BenchError, match="architecture 'resnet8' takes images, and the data are texts; for texts there is tex"
    ):
        build("resnet8", {}, 3, data, seed=5)
    with pytest.raises(BenchError, match="must divide the width"):
        build(arch, {"width": 10, "heads": 4}, 3, data, seed=5)
    with pytest.raises(BenchError, match="greater than or equal to 1"):
        build(arch, {"depth": 0}, 3, data, seed=5)
