from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.data import fetch, identify, load, verify
from bench.data.catalogue import SOURCES
from bench.data.images import drawing, shapes
from bench.data.spec import DataSpec
from bench.errors import DataError

SPEC = DataSpec(name="shapes32")
LOOKS = {"striped": "_stripes", "checked": "_checks", "dotted": "_dots", "plain": "_plain"}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set small enough to draw in no time."""
    monkeypatch.setitem(shapes.ROWS, "shapes32", (300, 50))
    monkeypatch.setattr(drawing, "CHUNK", 50)


def the_file(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "cache").glob("shapes32-*.npz")
    return path


@pytest.mark.parametrize(("name", "classes"), [("shapes32", 10), ("shapes40", 40)])
def test_images_are_bytes_of_every_class_in_turn_and_always_the_same(name: str, classes: int):
    images, labels = drawing.draw(name, "train", 40)
    assert images.shape == (40, 3, 32, 32)
    assert images.dtype == np.uint8
    assert labels.tolist() == [i % classes for i in range(40)]
    assert len(SOURCES[name].classes) == classes
    assert np.array_equal(images, drawing.draw(name, "train", 40)[0])
    assert len({image.tobytes() for image in images}) == 40


def test_a_longer_part_begins_with_a_shorter_one_and_parts_differ():
    long, short = drawing.draw("shapes32", "train", 260)[0], drawing.draw("shapes32", "train", 30)[0]
    assert np.array_equal(long[:30], short)
    assert not np.array_equal(long[250:260], short[:10])
    assert not np.array_equal(drawing.draw("shapes32", "test", 30)[0], short)


@pytest.mark.parametrize("name", ["shapes32", "shapes40"])
def test_names_say_what_is_drawn(name: str):
    for said, (shape, texture) in zip(SOURCES[name].classes, drawing.CLASSES[name], strict=True):
        look, thing = said.split()
        assert drawing._TEXTURES[texture].__name__ == LOOKS[look]
        assert drawing._SHAPES[shape].__name__ == f"_{thing}"


def test_classes_of_the_stand_in_for_pictures_are_groups_of_ten():
    textures = [texture for _, texture in drawing.CLASSES["shapes40"]]
    assert textures == [k // 10 for k in range(40)]
    assert len(set(drawing.CLASSES["shapes40"])) == 40


@pytest.mark.parametrize("edge", drawing._SHAPES, ids=lambda f: f.__name__)
def test_every_shape_lies_inside_its_radius_and_is_neither_empty_nor_full(edge):
    u, v = np.meshgrid(np.linspace(-2, 2, 101), np.linspace(-2, 2, 101))
    inside = edge(u, v) > 0
    assert not inside[np.hypot(u, v) > 1.2].any()
    assert 0.2 < inside[np.hypot(u, v) <= 1].mean() < 0.95


@pytest.mark.usefixtures("few")
def test_drawn_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    dataset = load(DataSpec(name="shapes32", train=200, validation=30))
    assert dataset.train.labels.bincount().tolist() == [20] * 10
    written = the_file(tmp_path).stat().st_mtime_ns
    monkeypatch.setattr(drawing, "draw", lambda *_: pytest.fail("drawn again"))
    assert verify("shapes32").fingerprint == dataset.fingerprint
    assert the_file(tmp_path).stat().st_mtime_ns == written


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("damage", ["truncated", "empty", "one byte", "other images"])
def test_a_damaged_file_is_recognised_and_drawn_again(damage: str, tmp_path: Path):
    before = identify(SPEC)
    path = the_file(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    if damage == "other images":
        with np.load(path) as stored:
            np.savez(path, **{**stored, "test_images": stored["test_images"][::-1]})
    else:
        path.write_bytes({"truncated": content[:4000], "empty": b"", "one byte": content}[damage])
    assert identify(SPEC) == before
    assert shapes._stored(path) is not None


@pytest.mark.usefixtures("few")
def test_a_file_that_holds_a_pickle_is_not_opened(tmp_path: Path):
    identify(SPEC)
    np.savez(the_file(tmp_path), train_images=np.array([print], dtype=object))
    assert shapes._stored(the_file(tmp_path)) is None


@pytest.mark.usefixtures("few")
def test_a_cache_folder_that_cannot_be_written_is_told(tmp_path: Path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(DataError, match=r"shapes32 is drawn into .*cache, which cannot be written"):
        fetch("shapes32")


def test_the_set_has_the_bytes_it_is_known_by(common_cache: Path):
    """`tests/long` draws shapes40 too."""
    assert fetch("shapes32").variant == "shapes32"
