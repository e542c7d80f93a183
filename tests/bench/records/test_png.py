"""Pictures decode to the pixels that they were made of."""

import io
import struct
import zlib

import numpy as np
import pytest

from bench.records import png


def decode(data):
    """uint8 [H, W, C] of a PNG whose lines are not filtered, checking every chunk."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        content = data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(name + content)
        chunks[name] = content
        at += 12 + length
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, rest) == (8, [0, 0, 0])
    channels = {0: 1, 2: 3}[colour]
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), dtype=np.uint8).reshape(height, -1)
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(height, width, channels)


def images(n, channels, height=3, width=4):
    return np.random.default_rng(0).integers(0, 256, (n, channels, height, width), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_encoded_image_decodes_to_its_pixels(channels):
    image = images(1, channels)[0].transpose(1, 2, 0)
    data = png.encode(image)
    assert np.array_equal(decode(data), image)
    assert png.size(data) == (4, 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_another_reader_sees_the_same(channels):
    pil = pytest.importorskip("PIL.Image")
    image = images(1, channels)[0].transpose(1, 2, 0)
    seen = np.asarray(pil.open(io.BytesIO(png.encode(image))))
    assert np.array_equal(seen.reshape(image.shape), image)


def test_a_grid_has_its_images_in_rows_of_ten_with_gaps():
    made = images(25, 3)
    sheet = png.grid(made)
    assert sheet.shape == (2 * 4 - 1, 10 * 5 - 1, 3)
    assert np.array_equal(sheet[0:3, 0:4], made[0].transpose(1, 2, 0))
    assert np.array_equal(sheet[4:7, 45:49], made[19].transpose(1, 2, 0))
    assert (sheet[3] == png.BACKGROUND).all()
    assert (sheet[:, 4::5] == png.BACKGROUND).all()


@pytest.mark.parametrize(("n", "shape"), [(1, (3, 4, 1)), (10, (3, 49, 1)), (11, (7, 49, 1))])
def test_a_grid_is_no_larger_than_its_images_need(n, shape):
    assert png.grid(images(n, 1)).shape == shape


@pytest.mark.parametrize("wrong", [images(2, 2), images(0, 3), images(2, 3)[0], images(2, 3) / 255])
def test_what_is_no_set_of_images_is_refused(wrong):
    with pytest.raises(ValueError, match="a grid takes uint8"):
        png.grid(wrong)


@pytest.mark.parametrize("wrong", [b"", b"GIF89a" + bytes(40), b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_png_has_no_size(wrong):
    with pytest.raises(ValueError, match="not a PNG"):
        png.size(wrong)
