"""Whisper's encoder and decoder in PyTorch, to be trained: Radford et al. 2023, with CTranslate2's weights.

Both are layers of self-attention and of a feed-forward part, each with normalisation before it and a way around it, and
a last normalisation. Below the encoder's are two convolutions, the second with every second frame, and positions; below
the decoder's tokens and positions, and its layers also attend to what the encoder heard. Modules have the names that
the file has.
"""

from __future__ import annotations

import math
import re

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nnet.encoder.model_file import FLOATS, ModelFile


class Attention(nn.Module):
    """Attention with several heads, of a sequence to itself."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.layer_norm = heads, nn.LayerNorm(dim)
        self.linear_0, self.linear_1 = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[sequences, steps, dim] to the same; what is attended to: bool [sequences or 1, 1, steps or 1, steps]."""
        query, key, value = self.linear_0(self.layer_norm(x)).chunk(3, dim=2)
        return self.linear_1(attend(query, key, value, self.heads, mask))


class CrossAttention(nn.Module):
    """Attention with several heads, of one sequence to another."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.layer_norm = heads, nn.LayerNorm(dim)
        self.linear_0, self.linear_1, self.linear_2 = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor, heard: Tensor, mask: Tensor) -> Tensor:
        """[sequences, steps, dim] and [sequences, frames, dim] to the former; mask: bool [sequences, 1, 1, frames]."""
        key, value = self.linear_1(heard).chunk(2, dim=2)
        return self.linear_2(attend(self.linear_0(self.layer_norm(x)), key, value, self.heads, mask))


class FeedForward(nn.Module):
    """Two linear layers."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.layer_norm, self.linear_0, self.linear_1 = nn.LayerNorm(dim), nn.Linear(dim, inner), nn.Linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_1(functional.gelu(self.linear_0(self.layer_norm(x))))


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, mask: Tensor) -> Tensor:
    """[sequences, queries, dim], [sequences, keys, dim] twice to [sequences, queries, dim], in heads.

    Written out, as the backward pass of PyTorch's own takes twice the time on a CPU for recordings of a few seconds.
    """
    query, key, value = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    weights = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
    weights = weights.masked_fill(~mask, torch.finfo(weights.dtype).min).softmax(3)
    return (weights @ value).transpose(1, 2).flatten(2)


class Layer(nn.Module):
    """Self-attention, in a decoder attention to what was heard, and two linear layers."""

    def __init__(self, dim: int, inner: int, heads: int, dropout: float, hears: bool) -> None:
        super().__init__()
        self.self_attention, self.ffn = Attention(dim, heads), FeedForward(dim, inner)
        self.attention = CrossAttention(dim, heads) if hears else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, heard: Tensor | None = None, valid: Tensor | None = None) -> Tensor:
        """[sequences, steps, dim] to the same; masks as for the attentions, heard: [sequences, frames, dim]."""
        x = x + self.dropout(self.self_attention(x, mask))
        if self.attention is not None:
            x = x + self.dropout(self.attention(x, heard, valid))
        return x + self.dropout(self.ffn(x))


class Half(nn.Module):
    """What encoder and decoder have in common: positions, layers, a last normalisation, and the file's values."""

    ROOM: str  # of the variables' names
    HEARS: bool  # whether layers attend to what was heard
    positions: Tensor

    def __init__(self, model: ModelFile, dropout: float) -> None:
        """Raises ValueError for another architecture."""
        super().__init__()
        variables = model.room(self.ROOM)
        try:
            inner, self.dim = variables["layer_0/ffn/linear_0/weight"].dims
            heads = int(variables["num_heads"].array())
            positions = variables["position_encodings/encodings"].array()
        except (KeyError, ValueError):
            raise ValueError(f"no {self.ROOM[:-1]} of Whisper's family") from None
        count = sum(name.endswith("ffn/linear_0/weight") for name in variables)
        self.layer = nn.ModuleList(Layer(self.dim, inner, heads, dropout, self.HEARS) for _ in range(count))
        self.layer_norm = nn.LayerNorm(self.dim)
        self.register_buffer("positions", torch.tensor(positions).float())

    def named_weights(self) -> list[tuple[str, Tensor]]:
        """The parameters by their names in the file, without the room."""
        named: list[tuple[str, Tensor]] = []
        for name, parameter in self.named_parameters():
            path = re.sub(r"layer\.(\d+)", r"layer_\1", name).replace(".", "/")
            if "layer_norm/" in path:
                path = path.replace("/weight", "/gamma").replace("/bias", "/beta")
            named.append((path, parameter))
        return named

    def read(self, model: ModelFile) -> None:
        """The parameters' values. Raises ValueError for other dimensions, and for weights of 8 bits."""
        variables = model.room(self.ROOM)
        for name, parameter in self.named_weights():
            variable = variables.get(name)
            if variable is None or variable.type not in FLOATS or variable.dims != tuple(parameter.shape):
                raise ValueError(
                    f"its weights {self.ROOM}{name} are missing, of other dimensions or of 8 bits: convert the model "
                    "with ct2-transformers-converter --quantization float16"
                )
            parameter.data.copy_(torch.tensor(variable.array()))

    def values(self) -> dict[str, np.ndarray]:
        """The weights by their names in the file."""
        return {self.ROOM + name: parameter.detach().float().cpu().numpy() for name, parameter in self.named_weights()}


class EncoderNetwork(Half):
    """The encoder of a model file."""

    ROOM, HEARS = "encoder/", False

    def __init__(self, model: ModelFile, dropout: float = 0.0) -> None:
        """Raises ValueError for another architecture, and for weights of 8 bits."""
        super().__init__(model, dropout)
        try:
            _, self.bands, _ = model.room(self.ROOM)["conv1/weight"].dims
        except (KeyError, ValueError):
            raise ValueError("no encoder of Whisper's family") from None
        self.conv1 = nn.Conv1d(self.bands, self.dim, 3, padding=1)
        self.conv2 = nn.Conv1d(self.dim, self.dim, 3, stride=2, padding=1)
        self.read(model)

    def train_last(self, count: int) -> list[Tensor]:
        """Only the last layers and the last normalisation are to be trained: their parameters."""
        self.requires_grad_(False)
        trained = [*list(self.layer)[len(self.layer) - count :], self.layer_norm]
        return [parameter.requires_grad_() for part in trained for parameter in part.parameters()]

    def forward(self, mel: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Spectra [sequences, bands, frames], zero beyond the sequences' lengths, to [sequences, frames / 2, dim].

        What a sequence becomes does not depend on the padding. Also which of its frames are no padding: bool
        [sequences, 1, 1, frames / 2].
        """
        heard = (torch.arange(mel.shape[2], device=mel.device) < lengths[:, None])[:, None]
        x = functional.gelu(self.conv2(functional.gelu(self.conv1(mel)) * heard)).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        valid = heard[:, None, :, ::2]
        for layer in self.layer:
            x = layer(x, valid)
        return self.layer_norm(x), valid


class DecoderNetwork(Half):
    """The decoder of a model file; its tokens stay as they are."""

    ROOM, HEARS = "decoder/", True
    embeddings: Tensor
    projection: Tensor

    def __init__(self, model: ModelFile, dropout: float = 0.0) -> None:
        """Raises ValueError for another architecture, and for weights of 8 bits."""
        super().__init__(model, dropout)
        variables = model.room(self.ROOM)
        for name in ("embeddings", "projection"):
            self.register_buffer(name, torch.tensor(variables[f"{name}/weight"].array()).float(), persistent=False)
        self.read(model)

    def forward(self, tokens: Tensor, heard: Tensor, valid: Tensor) -> Tensor:
        """Tokens int[sequences, tokens] and the encoder's two outputs to [sequences, tokens, dim].

        What stands behind a sequence's tokens changes nothing before it.
        """
        count = tokens.shape[1]
        earlier = torch.ones(count, count, dtype=torch.bool, device=tokens.device).tril()[None, None]
        x = self.embeddings[tokens] + self.positions[:count]
        for layer in self.layer:
            x = layer(x, earlier, heard, valid)
        return self.layer_norm(x)

    def scores(self, x: Tensor) -> Tensor:
        """What the decoder makes of tokens [..., dim] to scores of all tokens, of which one comes next."""
        return functional.linear(x, self.projection)
