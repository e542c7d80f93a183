"""A look inside a network while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor, nn

from bench import Skip


class Inputs:
    """Remembers what some layers of a network were given in its latest forward pass; a context manager.

    The network itself is called as always, so that its calls stay counted.
    """

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        self.layers = list(layers)
        self.latest: dict[int, Tensor] = {}
        """Position of a layer -> its input, with its graph."""

    def __enter__(self) -> Inputs:
        self._handles = [layer.register_forward_pre_hook(self._hook(i)) for i, layer in enumerate(self.layers)]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self.latest.clear()

    def _hook(self, position: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def remember(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self.latest[position] = inputs[0]

        return remember


class Outputs:
    """Remembers what some layers of a network put out in its latest forward pass; a context manager."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        self.layers = list(layers)
        self.latest: dict[int, Tensor] = {}
        """Position of a layer -> its output, with its graph."""

    def __enter__(self) -> Outputs:
        self._handles = [layer.register_forward_hook(self._hook(i)) for i, layer in enumerate(self.layers)]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self.latest.clear()

    def _hook(self, position: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def remember(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
            self.latest[position] = output

        return remember


def penultimate(network: nn.Module) -> Inputs:
    """A context in which `.latest[0]` is the latest input [B, d] of the network's classifier.

    Raises:
        Skip: the network has no layer named `head`.
    """
    if not isinstance(head := getattr(network, "head", None), nn.Module):
        raise Skip(f"needs the features before the classifier, and {type(network).__name__} has no layer named 'head'")
    return Inputs([head])
