"""A small transformer encoder on texts: token and position embedding, pre-LayerNorm layers, mean over tokens, head.

Encoder as in `bench.models.transformer` (Vaswani et al. 2017, arXiv:1706.03762; Xiong et al. 2020, arXiv:2002.04745).

A text is a row of token numbers, int64 [L], padded with 0. Every layer but the attention product computes on *packed*
rows [R, width], one a real token of the batch, texts one after the other: padding costs nothing there, and statistics
of inputs (Gram matrices, activations) never see it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.data.texts.kind import TextProblem, mask
from bench.device import kind_of
from bench.errors import BenchError
from bench.models.layers import Classifier
from bench.models.permutation import Axes, Axis, PermutationSpec, axes_of
from bench.models.transformer import Attention, Encoder, Layer
from bench.types import Count

EMBEDDING_SCALE = 0.02
"""Standard deviation of token and position embeddings at the start, as in BERT (arXiv:1810.04805). On validation texts
(TREC, MR; four epochs, two seeds) 0.1 learnt no more, and 0.5 and 1 learnt less (by 5 to 11 points), although they tell
classes apart somewhat better before training."""


@dataclass(frozen=True)
class Packing:
    """Where the rows of a packed batch come from: B texts, cut to the longest one's n tokens, R real tokens in all."""

    numbers: Tensor
    """Of each row's token, int64 [R]."""
    places: Tensor
    """Of each row's token in its text, int64 [R]."""
    cells: Tensor
    """Of each row in the padded batch, int64 [R], text times n plus place."""
    mask: Tensor
    """Which keys count, bool [B, 1, 1, n]: the real ones; the first of a text that has none, since a softmax over
    nothing is not a number."""
    lengths: Tensor
    """Real tokens of each text, int64 [B, 1]."""

    def pad(self, rows: Tensor) -> Tensor:
        """Packed [R, ...] -> padded with zeros [B, n, ...]."""
        texts, tokens = len(self.mask), self.mask.shape[-1]
        padded = rows.new_zeros(texts * tokens, *rows.shape[1:]).index_copy(0, self.cells, rows)
        return padded.unflatten(0, (texts, tokens))

    def mean(self, rows: Tensor) -> Tensor:
        """Packed [R, d] -> mean over the tokens of each text [B, d]; zero for a text that has none."""
        return self.pad(rows).sum(1) / self.lengths.clamp(min=1)


def unpack(numbers: Tensor) -> Packing:
    """The real tokens of texts, int64 [B, L].

    Raises:
        BenchError: other inputs.
    """
    if kind_of(numbers) != "texts":
        raise BenchError(f"a text classifier takes token numbers, int64 [B, L]; it got {numbers.dtype}")
    real = mask(numbers)
    used = real.any(0).nonzero()
    longest = int(used[-1]) + 1 if len(used) else 1
    real, numbers = real[:, :longest], numbers[:, :longest]
    cells = real.flatten().nonzero().squeeze(1)
    keys = real.clone()
    keys[:, 0] |= ~real.any(1)
    return Packing(
        numbers=numbers.flatten()[cells],
        places=cells % longest,
        cells=cells,
        mask=keys[:, None, None],
        lengths=real.sum(1, keepdim=True),
    )


def attend(attention: Attention, x: Tensor, texts: Packing) -> Tensor:
    """Self-attention of packed rows [R, width] within each text."""
    projected = torch.stack([attention.q(x), attention.k(x), attention.v(x)], 1)
    q, k, v = texts.pad(projected).unflatten(3, (attention.heads, -1)).permute(2, 0, 3, 1, 4)
    y = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=texts.mask)
    return attention.out(y.transpose(1, 2).flatten(0, 1)[texts.cells].flatten(1))


def encode(layer: Layer, x: Tensor, texts: Packing) -> Tensor:
    """One layer of the encoder on packed rows [R, width]."""
    x = x + attend(layer.attention, layer.norm1(x), texts)
    return x + layer.down(nn.functional.gelu(layer.up(layer.norm2(x))))


class TextClassifier(Classifier):
    """Token and position embedding -> encoder -> mean over the tokens of a text -> linear head."""

    data_dependent_shapes = True
    """The number of rows depends on the texts, which vmap cannot trace."""

    def __init__(self, problem: TextProblem, *, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(problem.vocabulary, width)
        self.position = nn.Parameter(EMBEDDING_SCALE * torch.randn(1, problem.length, width))
        self.encoder = Encoder(width=width, depth=depth, heads=heads)
        self.head = nn.Linear(width, problem.num_classes)
        nn.init.normal_(self.embed.weight, std=EMBEDDING_SCALE)

    def features(self, x: Tensor) -> Tensor:
        """Token numbers int64 [B, L] -> mean of the last norm over each text's tokens [B, width]."""
        texts = unpack(x)
        rows = self.embed(texts.numbers) + nn.functional.embedding(texts.places, self.position[0])
        for layer in self.encoder.layers:
            assert isinstance(layer, Layer)
            rows = encode(layer, rows, texts)
        return texts.mean(self.encoder.norm(rows))

    def permutation_spec(self) -> PermutationSpec:
        """Groups `stream`, and `heads{l}` and `ff{l}` of each layer. `embed` writes the stream along axis 1."""
        stream = Axis("stream")
        inner = self.encoder.permutation_spec(stream, "encoder.")
        axes: Axes = {"embed.weight": (None, stream), "position": (None, None, stream)}
        axes |= inner.axes | axes_of("head", self.head, None, stream)
        writers = inner.writers | {"stream": ("embed", *inner.writers["stream"])}
        return PermutationSpec(axes, ("stream", *inner.order), writers)


def text_classifier(problem: TextProblem, *, width: Count = 96, depth: Count = 2, heads: Count = 4) -> TextClassifier:
    """Transformer encoder on texts.

    Args:
        problem: classes, longest text, and token numbers that have an embedding of their own.
        width: of the residual stream; a feed-forward branch is twice as wide.
        depth: layers.
        heads: of attention, each width / heads wide.
    """
    return TextClassifier(problem, width=width, depth=depth, heads=heads)
