from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.data import load, load_like, noise_images
from bench.data.spec import DataSpec
from bench.errors import DataError


def rows_of(images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


def test_sizes_are_class_balanced_and_parts_do_not_meet(cifar: Path):
    dataset = load(DataSpec(name="cifar10", train=100, validation=50, test=20))
    assert dataset.train.labels.bincount().tolist() == [10] * 10
    assert dataset.validation.labels.bincount().tolist() == [5] * 10
    assert dataset.test.labels.bincount().tolist() == [2] * 10
    parts = [rows_of(split.inputs) for split in (dataset.train, dataset.validation, dataset.test)]
    assert len(parts[0] | parts[1] | parts[2]) == 170


def test_by_default_a_tenth_is_held_out_and_everything_is_used(cifar: Path):
    dataset = load(DataSpec(name="cifar10"))
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (180, 20, 40)


def test_sizes_that_do_not_divide_by_the_classes_differ_by_one(cifar: Path):
    counts = load(DataSpec(name="cifar10", train=37, validation=10)).train.labels.bincount().tolist()
    assert counts == [4] * 7 + [3] * 3


def test_a_smaller_training_part_lies_inside_a_larger_one_whatever_is_held_out(cifar: Path):
    small = load(DataSpec(name="cifar10", train=50, validation=20))
    large = load(DataSpec(name="cifar10", train=100, validation=60))
    assert rows_of(small.train.inputs) < rows_of(large.train.inputs)
    assert rows_of(small.validation.inputs) < rows_of(large.validation.inputs)


def test_a_class_with_few_rows_gives_all_it_has():
    dataset = load(DataSpec(name="digits", train=1290, validation=140))
    counts = dataset.train.labels.bincount()
    assert counts.sum() == 1290
    assert counts.max() - counts.min() <= 8


def test_images_are_contiguous_bytes_with_the_moments_of_the_training_part(cifar: Path):
    dataset = load(DataSpec(name="cifar10", size=8))
    assert dataset.shape == (3, 8, 8)
    for split in (dataset.train, dataset.validation, dataset.test):
        assert split.inputs.dtype == torch.uint8
        assert split.inputs.is_contiguous()
        assert split.labels.dtype == torch.int64
    pixels = dataset.train.inputs.double() / 255
    assert torch.allclose(torch.tensor(dataset.mean).double(), pixels.mean((0, 2, 3)))
    assert torch.allclose(torch.tensor(dataset.std).double(), pixels.std((0, 2, 3), correction=0))


def test_loading_again_costs_nothing(cifar: Path):
    spec = DataSpec(name="cifar10", train=100)
    assert load(spec) is load(spec)


def test_a_file_that_changed_is_read_again(cifar: Path):
    before = load(DataSpec(name="cifar10"))
    (cifar / "test_batch").write_bytes((cifar / "data_batch_1").read_bytes())
    after = load(DataSpec(name="cifar10"))
    assert after.fingerprint != before.fingerprint
    assert not torch.equal(after.test.inputs, before.test.inputs)


def test_a_proxy_has_exactly_the_other_set_s_shape(cifar: Path, mnist: Path):
    own = load(DataSpec(name="cifar10", size=16))
    proxy = load_like("mnist", own)
    assert proxy.shape == own.shape == (3, 16, 16)
    assert torch.equal(proxy.train.inputs[:, 0], proxy.train.inputs[:, 2])
    assert (proxy.name, len(proxy.train), len(proxy.mean)) == ("mnist", 180, 3)
    assert load_like("digits", own).shape == (3, 16, 16)
    grey = load_like("cifar10", load(DataSpec(name="mnist")))
    assert grey.shape == (1, 28, 28)
    assert torch.equal(grey.train.labels, own.train.labels)


def test_a_proxy_is_never_stood_in_for():
    with pytest.raises(DataError, match="'mnist' is not"):
        load_like("mnist", load(DataSpec(name="digits")))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (
            {"train": 190},
            "asks for 190 training and 20 validation rows and cifar10 has 200 for both",
        ),
        ({"validation": 200}, "asks for some training and 200 validation rows"),
        ({"test": 41}, "asks for 41 test rows and cifar10 has 40"),
        ({"size": 20}, "can be pooled to 32, 16, 8, 4, 2, 1"),
    ],
)
def test_sizes_larger_than_the_set_are_refused(sizes: dict[str, int], message: str, cifar: Path):
    with pytest.raises(DataError, match=message):
        load(DataSpec(name="cifar10", **sizes))


def test_noise_is_uniform_bytes_of_the_generator():
    def draw(seed: int) -> torch.Tensor:
        return noise_images(50, (3, 16, 16), torch.Generator().manual_seed(seed))

    assert draw(0).shape == (50, 3, 16, 16)
    assert draw(0).dtype == torch.uint8
    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))
    assert draw(0).unique().numel() == 256
    assert abs(draw(0).double().mean() - 127.5) < 2
