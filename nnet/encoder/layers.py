"""Whisper's encoder in PyTorch, so that its layers can be trained: Radford et al. 2023, with CTranslate2's weights.

Two convolutions, the second with every second frame; positions; layers of self-attention and of a feed-forward part,
each with normalisation before it and a way around it; a last normalisation.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nnet.encoder.model_file import FLOATS, ModelFile

ROOM = "encoder/"  # of the variables' names


class Layer(nn.Module):
    """Self-attention with several heads, then two linear layers."""

    def __init__(self, dim: int, inner: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.inner_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query_key_value, self.attended = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.inner, self.outer = nn.Linear(dim, inner), nn.Linear(inner, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """[sequences, frames, dim] to the same; valid, bool [sequences, 1, 1, frames]: frames that are no padding."""
        sequences, frames, dim = x.shape
        products = self.query_key_value(self.attention_norm(x)).view(
            sequences, frames, 3, self.heads, dim // self.heads
        )
        query, key, value = products.permute(2, 0, 3, 1, 4)
        heard = functional.scaled_dot_product_attention(query, key, value, attn_mask=valid)
        x = x + self.dropout(self.attended(heard.transpose(1, 2).reshape(sequences, frames, dim)))
        return x + self.dropout(self.outer(functional.gelu(self.inner(self.inner_norm(x)))))


class Layers(nn.Module):
    """The encoder of a model file; its parameters have the file's names and values."""

    positions: Tensor

    def __init__(self, model: ModelFile, dropout: float = 0.0) -> None:
        """Raises ValueError for another architecture, and for weights of 8 bits."""
        super().__init__()
        variables = {
            name.removeprefix(ROOM): variable for name, variable in model.named().items() if name.startswith(ROOM)
        }
        try:
            dim, bands, _ = variables["conv1/weight"].dims
            inner, _ = variables["layer_0/ffn/linear_0/weight"].dims
            heads = int(variables["num_heads"].array())
            count = sum(name.endswith("ffn/linear_0/weight") for name in variables)
            self.register_buffer("positions", torch.tensor(variables["position_encodings/encodings"].array()).float())
        except (KeyError, ValueError):
            raise ValueError("no encoder of Whisper's family") from None
        self.bands, self.dim = bands, dim
        self.conv1, self.conv2 = nn.Conv1d(bands, dim, 3, padding=1), nn.Conv1d(dim, dim, 3, stride=2, padding=1)
        self.layers = nn.ModuleList(Layer(dim, inner, heads, dropout) for _ in range(count))
        self.norm = nn.LayerNorm(dim)
        for name, parameter in self.named_weights():
            variable = variables.get(name)
            if variable is None or variable.type not in FLOATS or variable.dims != tuple(parameter.shape):
                raise ValueError(
                    f"its weights {ROOM}{name} are missing, of other dimensions or of 8 bits: convert the model with "
                    "ct2-transformers-converter --quantization float16"
                )
            parameter.data.copy_(torch.tensor(variable.array()))

    def named_weights(self) -> list[tuple[str, Tensor]]:
        """The parameters by their names in the file, without the room."""
        parts: list[tuple[str, nn.Conv1d | nn.Linear | nn.LayerNorm]]
        parts = [("conv1", self.conv1), ("conv2", self.conv2), ("layer_norm", self.norm)]
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, Layer)
            name = f"layer_{number}"
            parts += [
                (f"{name}/self_attention/layer_norm", layer.attention_norm),
                (f"{name}/self_attention/linear_0", layer.query_key_value),
                (f"{name}/self_attention/linear_1", layer.attended),
                (f"{name}/ffn/layer_norm", layer.inner_norm),
                (f"{name}/ffn/linear_0", layer.inner),
                (f"{name}/ffn/linear_1", layer.outer),
            ]
        named = []
        for name, part in parts:
            names = ("gamma", "beta") if isinstance(part, nn.LayerNorm) else ("weight", "bias")
            for of_file, parameter in zip(names, (part.weight, part.bias), strict=True):
                assert parameter is not None
                named.append((f"{name}/{of_file}", parameter))
        return named

    def train_last(self, count: int) -> list[Tensor]:
        """Only the last layers and the last normalisation are to be trained: their parameters."""
        self.requires_grad_(False)
        trained = [*list(self.layers)[len(self.layers) - count :], self.norm]
        return [parameter.requires_grad_() for part in trained for parameter in part.parameters()]

    def forward(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Spectra [sequences, bands, frames], zero beyond the sequences' lengths, to [sequences, frames / 2, dim].

        What a sequence becomes does not depend on the padding.
        """
        heard = (torch.arange(mel.shape[2], device=mel.device) < lengths[:, None])[:, None]
        x = functional.gelu(self.conv2(functional.gelu(self.conv1(mel)) * heard)).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        valid = heard[:, None, :, ::2]
        for layer in self.layers:
            x = layer(x, valid)
        return self.norm(x)

    def values(self) -> dict[str, np.ndarray]:
        """The weights by their names in the file."""
        return {ROOM + name: parameter.detach().float().cpu().numpy() for name, parameter in self.named_weights()}
