"""Drawing shapes32 and shapes40: textured shapes under nuisances that leave no single pixel to tell a class.

A class is a shape and a texture: five shapes, striped or checked, in shapes32; ten shapes in each of four textures in
shapes40, so that its classes are groups of ten as in `pictures`, whose stand-in it is. Place, size, rotation, stretch,
all colours, the texture's direction, width and phase, a background with a faint texture of its own, clutter behind and
before the object, how faint it is, lighting and noise differ from image to image.

All is float64 and drawn from uniform doubles, so that every machine makes the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.data.draws import generator

SIDE = 32
CHUNK = 250
_PIXEL = 2 / SIDE
"""Side of a pixel; an image spans [-1, 1] in both directions."""
_CENTRES = (np.arange(SIDE) + 0.5) * _PIXEL - 1
_X, _Y = np.meshgrid(_CENTRES, _CENTRES)

Uniform = Callable[..., np.ndarray]
"""`uniform(low, high, *shape)` -> [CHUNK, *shape]."""


def draw(name: str, part: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `n` images (uint8 [n, 3, 32, 32]) and labels (int64 [n], classes in turn) of a part of a set."""
    classes = CLASSES[name]
    labels = np.arange(n) % len(classes)
    kinds = np.array(classes)[labels]
    chunks = [_chunk(generator(name, part, start), kinds[start : start + CHUNK]) for start in range(0, n, CHUNK)]
    return np.concatenate(chunks), labels


@dataclass(frozen=True)
class _Pose:
    """Where an object lies: coordinates (u, v) [B, 32, 32] in which it fills [-1, 1], and its radius [B, 1, 1]."""

    u: np.ndarray
    v: np.ndarray
    radius: np.ndarray

    def coverage(self, inside: np.ndarray) -> np.ndarray:
        """Share of each pixel that is covered, from a distance to the edge that is positive inside."""
        return np.clip(inside * self.radius / _PIXEL + 0.5, 0, 1)


def _disc(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return 0.95 - np.hypot(u, v)


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return 0.8 - np.maximum(abs(u), abs(v))


def _triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    slope = 0.75**0.5
    return 0.55 - np.maximum(-v, np.maximum(0.5 * v + slope * u, 0.5 * v - slope * u))


def _cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    long, wide = np.maximum(abs(u), abs(v)), np.minimum(abs(u), abs(v))
    return np.minimum(1 - long, 0.36 - wide)


def _ring(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return 0.26 - abs(np.hypot(u, v) - 0.74)


def _bar(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _box(u, v, (-0.95, 0.95), (-0.4, 0.4))


def _dome(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.minimum(0.95 - np.hypot(u, v - 0.45), 0.45 - v)


def _tee(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(_box(u, v, (-0.75, 0.75), (-0.9, -0.35)), _box(u, v, (-0.28, 0.28), (-0.9, 0.9)))


def _ell(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(_box(u, v, (-0.75, -0.2), (-0.9, 0.9)), _box(u, v, (-0.75, 0.75), (0.35, 0.9)))


def _cup(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(_ell(u, v), _box(u, v, (0.3, 0.75), (-0.9, 0.9)))


def _box(u: np.ndarray, v: np.ndarray, across: tuple[float, float], down: tuple[float, float]) -> np.ndarray:
    left, right, top, bottom = u - across[0], across[1] - u, v - down[0], down[1] - v
    return np.minimum(np.minimum(left, right), np.minimum(top, bottom))


def _stripes(u: np.ndarray, _v: np.ndarray) -> np.ndarray:
    return np.sin(u)


def _checks(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.sin(u) * np.sin(v)


def _dots(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.sin(u) + np.sin(v) - 0.6


def _plain(u: np.ndarray, _v: np.ndarray) -> np.ndarray:
    return np.ones_like(u)


_SHAPES = (_disc, _square, _triangle, _cross, _ring, _bar, _dome, _tee, _ell, _cup)
_TEXTURES = (_stripes, _checks, _dots, _plain)

CLASSES = {
    "shapes32": tuple((shape, texture) for shape in range(5) for texture in range(2)),
    "shapes40": tuple((shape, texture) for texture in range(4) for shape in range(10)),
}
"""Set -> of each class its shape and its texture, as indices."""


def _chunk(rng: np.random.Generator, kinds: np.ndarray) -> np.ndarray:
    """Images [N, 3, 32, 32] of `kinds` [N, 2]. Draws are made for a whole chunk, so that a cut one begins alike."""

    def uniform(low: float, high: float, *shape: int) -> np.ndarray:
        return low + (high - low) * rng.random((CHUNK, *shape))

    shapes, textures = np.resize(kinds, (CHUNK, 2)).T[:, :, None, None]
    ground = uniform(0, 1, 3, 1, 1)
    # Going round at 1, each of the three colours differs from the others in every channel.
    first = (ground + uniform(0.25, 0.4, 3, 1, 1)) % 1
    second = (ground + uniform(0.6, 0.75, 3, 1, 1)) % 1
    picture = ground + uniform(0, 0.25, 1, 1, 1) * (_texture(uniform(0, 2, 1, 1) // 1, uniform)[:, None] - 0.5)
    for _ in range(2):
        picture = _blot(picture, uniform(0, 1, 3, 1, 1), uniform)
    pose = _pose(uniform, radius=(0.5, 0.9), place=0.3, turn=0.45)
    shape = np.choose(shapes, [edge(pose.u, pose.v) for edge in _SHAPES])
    weave = _texture(textures, uniform)[:, None]
    # Some objects are faint: without them a ResNet-8 would make hardly a mistake, and methods would not differ.
    picture = _over(picture, first + (second - first) * weave, pose.coverage(shape) * uniform(0.45, 1, 1, 1))
    for _ in range(2):
        picture = _blot(picture, uniform(0, 1, 3, 1, 1), uniform)
    return _exposed(picture, uniform)[: len(kinds)]


def _pose(uniform: Uniform, radius: tuple[float, float], place: float, turn: float) -> _Pose:
    angle, stretch = uniform(-turn, turn, 1, 1), uniform(0.85, 1.15, 1, 1) ** 0.5
    size = uniform(*radius, 1, 1)
    x, y = _X - uniform(-place, place, 1, 1), _Y - uniform(-place, place, 1, 1)
    c, s = np.cos(angle), np.sin(angle)
    return _Pose((c * x + s * y) / (size * stretch), (c * y - s * x) * stretch / size, size)


def _texture(kind: np.ndarray, uniform: Uniform) -> np.ndarray:
    """Textures of these kinds as values in [0, 1]: [B, 32, 32], with periods of 5 to 8 pixels."""
    angle, period = uniform(0, 2 * np.pi, 1, 1), uniform(5, 8, 1, 1) * _PIXEL
    c, s = np.cos(angle) * 2 * np.pi / period, np.sin(angle) * 2 * np.pi / period
    u = c * _X + s * _Y + uniform(0, 2 * np.pi, 1, 1)
    v = c * _Y - s * _X + uniform(0, 2 * np.pi, 1, 1)
    wave = np.choose(kind.astype(int), [weave(u, v) for weave in _TEXTURES])
    return np.clip(0.5 + 2 * wave, 0, 1)


def _over(below: np.ndarray, colour: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    return below + (colour - below) * coverage[:, None]


def _blot(picture: np.ndarray, colour: np.ndarray, uniform: Uniform) -> np.ndarray:
    """A small disc or bar of one colour, anywhere."""
    pose = _pose(uniform, radius=(0.08, 0.28), place=1.0, turn=np.pi)
    edge = np.where(uniform(0, 1, 1, 1) < 0.5, _disc(pose.u, pose.v), _square(pose.u / 2, pose.v * 2))
    return _over(picture, colour, pose.coverage(edge))


def _exposed(picture: np.ndarray, uniform: Uniform) -> np.ndarray:
    """Light that falls off across the image, an exposure, noise (a sum of three uniforms), and rounding to uint8."""
    angle, fall, gain = uniform(0, 2 * np.pi, 1, 1), uniform(0, 0.4, 1, 1), uniform(0.6, 1.1, 1, 1)
    light = gain * (1 + fall * (np.cos(angle) * _X + np.sin(angle) * _Y))
    noise = sum(uniform(-1, 1, 3, SIDE, SIDE) for _ in range(3)) * (0.02 + 0.12 * uniform(0, 1, 1, 1, 1) ** 2)
    return np.rint(np.clip(picture * light[:, None] + noise, 0, 1) * 255).astype(np.uint8)
