"""Which block of the teacher a student's block comes from."""

from __future__ import annotations

import pytest

from bench.errors import Skip
from methods.squeezing.depth import matching_names


def names(make_network, student: tuple, teacher: tuple) -> dict[str, str]:
    (name, options), (other, more) = student, teacher
    specs = [make_network(n, 8, **o).permutation_spec() for n, o in ((name, options), (other, more))]
    return matching_names(*specs)


@pytest.mark.parametrize("name", ["mlp", "mlp-batch", "vgg", "resnet14", "resnet8-layer", "vit"])
def test_at_equal_depth_every_tensor_comes_from_its_namesake(make_network, name):
    found = names(make_network, (name, {}), (name, {}))
    assert len(found) > 5
    assert all(source == own for own, source in found.items())


def test_middle_blocks_stand_for_their_neighbours(make_network):
    found = names(make_network, ("vit", {"depth": 2}), ("vit", {"depth": 4}))
    assert found["encoder.layers.0.up.weight"] == "encoder.layers.1.up.weight"
    assert found["encoder.layers.1.up.weight"] == "encoder.layers.3.up.weight"
    assert found["position"] == "position"


def test_a_block_with_a_projection_comes_from_one_with_a_projection(make_network):
    found = names(make_network, ("resnet8", {}), ("resnet20", {}))
    assert found["stages.0.0.conv1.weight"] == "stages.0.1.conv1.weight"
    assert found["stages.1.0.conv1.weight"] == "stages.1.0.conv1.weight"
    assert found["stages.2.0.shortcut.0.weight"] == "stages.2.0.shortcut.0.weight"


def test_a_first_layer_comes_from_the_first_layer(make_network):
    found = names(make_network, ("mlp", {"depth": 2}), ("mlp", {"depth": 5}))
    assert found["hidden.0.weight"] == "hidden.0.weight"
    assert found["hidden.1.weight"] == "hidden.3.weight"


def test_a_deeper_student_uses_a_block_twice(make_network):
    found = names(make_network, ("vit", {"depth": 4}), ("vit", {"depth": 2}))
    assert [found[f"encoder.layers.{i}.up.weight"].split(".")[2] for i in range(4)] == ["0", "0", "1", "1"]


@pytest.mark.parametrize(
    ("student", "teacher"), [("resnet8", "mlp"), ("vgg", "resnet8"), ("resnet8", "resnet8-layer"), ("vit", "vgg")]
)
def test_another_architecture_is_skipped(make_network, student, teacher):
    with pytest.raises(Skip, match="another architecture"):
        names(make_network, (student, {}), (teacher, {}))
