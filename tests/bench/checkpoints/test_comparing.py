"""What checkpoints have in common, and every way in which they do not go together."""

import pytest
import torch
from safetensors.torch import save_file

from bench.checkpoints.comparing import matched, refuse_equal
from bench.checkpoints.reading import open_checkpoint
from bench.errors import CheckpointError


def weights(seed=0, classes=3):
    generator = torch.Generator().manual_seed(seed)
    return {
        "body.weight": torch.randn(4, 6, generator=generator),
        "body.bias": torch.randn(4, generator=generator),
        "norm.running_mean": torch.randn(4, generator=generator),
        "norm.num_batches_tracked": torch.tensor(seed),
        "positions": torch.arange(5),
        "classifier.weight": torch.randn(classes, 4, generator=generator),
        "classifier.bias": torch.randn(classes, generator=generator),
    }


@pytest.fixture
def opened(tmp_path):
    def make(**states):
        for name, state in states.items():
            save_file({k: v.clone() for k, v in state.items()}, tmp_path / f"{name}.safetensors")
        return [open_checkpoint(tmp_path / f"{name}.safetensors") for name in states]

    return make


def without(state, *names):
    return {name: tensor for name, tensor in state.items() if name not in names}


def test_weights_and_statistics_are_merged_and_counters_and_indices_kept(opened):
    a, b = opened(a=weights(0), b=weights(1))
    found = matched([a, b])
    merged = ("body.bias", "body.weight", "classifier.bias", "classifier.weight", "norm.running_mean")
    assert found.merged == merged
    assert found.kept == {"norm.num_batches_tracked": a, "positions": a}
    assert found.tied == {}


def test_what_is_kept_is_the_bases_or_the_first_models(opened):
    base, a, b = opened(
        base=without(weights(0), "classifier.weight", "classifier.bias"), a=weights(1), b=weights(2, classes=7)
    )
    found = matched([a, b], base, ["classifier.*", "body.bias"])
    assert found.merged == ("body.weight", "norm.running_mean")
    assert found.kept["classifier.weight"] is a
    assert found.kept["body.bias"] is base


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (without(weights(1), "body.bias"), r"b.safetensors: lacks 'body.bias', beside .*a.safetensors; .*--keep"),
        (weights(1) | {"odd": torch.ones(2)}, r"b.safetensors: has 'odd' besides, beside .*a.safetensors"),
        (
            {f"bert.{name}": tensor for name, tensor in weights(1).items()},
            r"lacks 'body.bias', 'body.weight', 'classifier.bias' and 4 more .* by 'bert.' at the front$",
        ),
        (
            weights(1, classes=5),
            r"'classifier.bias' has shape \[5\], and \[3\] in .* \(2 tensors differ\); if it is a head .*'class.*\*'",
        ),
        (weights(1) | {"body.weight": torch.ones(4, 7)}, r"'body.weight' has shape \[4, 7\], and \[4, 6\] in [^;]*$"),
        (weights(1) | {"positions": torch.arange(5) + 1}, r"'positions' \(I64\) is not that of .*--keep 'positions'"),
        (weights(1) | {"body.bias": torch.ones(4, dtype=torch.int8)}, r"'body.bias' \(F32 and I8\) is not that of"),
    ],
)
def test_every_difference_is_told_by_name(opened, other, told):
    with pytest.raises(CheckpointError, match=told):
        matched(opened(a=weights(0), b=other))


def test_a_pattern_that_fits_nothing_is_told(opened):
    with pytest.raises(CheckpointError, match=r"keep: 'clasifier.bias' fits no tensor; did you mean 'classifier.bias'"):
        matched(opened(a=weights(0), b=weights(1)), keep=["clasifier.bias"])


def tied(seed):
    state = weights(seed)
    return state | {"decoder.weight": state["body.weight"]}


def test_tied_weights_are_merged_once_under_the_name_that_all_have(opened):
    a, b = opened(a=tied(0), b=tied(1))
    assert matched([a, b]).tied == {"decoder.weight": "body.weight"}
    a, b = opened(a=tied(0), b=weights(1))  # b has left out the second name, as Hugging Face does
    assert matched([a, b]).tied == {"decoder.weight": "body.weight"}
    b, a = opened(b=weights(1), a=tied(0))  # and the result has the names of the first
    found = matched([b, a])
    assert found.tied == {}
    assert "decoder.weight" not in found.merged


def test_weights_that_are_equal_in_one_model_alone_are_not_tied(opened):
    untied = weights(1) | {"decoder.weight": torch.ones(4, 6)}
    found = matched(opened(a=tied(0), b=untied))
    assert found.tied == {}
    assert "decoder.weight" in found.merged


def test_equal_models_are_refused_whatever_their_counters_say(opened):
    a, b, c = opened(a=weights(0), b=weights(1), c=weights(0) | {"norm.num_batches_tracked": torch.tensor(9)})
    names = matched([a, b, c]).merged
    refuse_equal([a, b], names)
    with pytest.raises(CheckpointError, match=r"c.safetensors: has the very weights of .*a.safetensors"):
        refuse_equal([a, b, c], names)
