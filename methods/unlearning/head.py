"""The last layer of a standard model, for methods that treat it apart."""

from __future__ import annotations

from torch import nn

from bench import Skip


def linear_head(model: nn.Module) -> nn.Linear:
    """`model.head`.

    Raises:
        Skip: the model has no linear `head`.
    """
    head = getattr(model, "head", None)
    if not isinstance(head, nn.Linear):
        raise Skip("the model has no linear `head`: its last layer cannot be told from the others")
    return head
