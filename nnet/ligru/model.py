"""The networks: Li-GRU and SLi-GRU, and GRU, LSTM and MLP to compare them with.

All of them take and give packed frames (see packing.py): [frames, dim] with the number of sequences at each step.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from nnet.ligru.config import Config
from nnet.ligru.device import multiplies_bfloat16
from nnet.ligru.norm import FrameBatchNorm
from nnet.ligru.packing import subsample
from nnet.ligru.products import Linear
from nnet.ligru.recurrence import light_recurrence


class Product(nn.Linear):
    """A linear layer that multiplies in float32 or, with float32 in and out, in bfloat16 where the device does."""

    def __init__(self, inputs: int, outputs: int, precision: str, bias: bool = False) -> None:
        super().__init__(inputs, outputs, bias)
        self.precision = getattr(torch, precision)

    @property
    def product_type(self) -> torch.dtype:
        """What is multiplied on the device that the weights are on."""
        if self.precision == torch.bfloat16 and not multiplies_bfloat16(self.weight.device):
            return torch.float32
        return self.precision

    def forward(self, x: Tensor) -> Tensor:
        product_type = self.product_type
        if product_type in (x.dtype, torch.float32):
            return Linear.apply(x, self.weight, self.bias)
        y = F.linear(x.to(product_type), self.weight.to(product_type)).to(x.dtype)
        return y if self.bias is None else y + self.bias


class LightLayer(nn.Module):
    """One layer of Li-GRU, or of SLi-GRU. Both directions use the same weights, as in pytorch-kaldi and SpeechBrain.

    Ravanelli et al. 2018: z_t = sigmoid(BN(W_z x_t) + U_z h_{t-1}), c_t = ReLU(BN(W_c x_t) + U_c h_{t-1}) * dropout,
    h_t = z_t h_{t-1} + (1 - z_t) c_t.
    """

    def __init__(self, inputs: int, config: Config) -> None:
        super().__init__()
        self.units, self.directions = config.units, config.directions
        self.dropout, self.activation = config.dropout, config.activation
        self.stabilised = config.network == "sligru"
        self.W = Product(inputs, 2 * self.units, config.precision)
        self.norm = FrameBatchNorm(2 * self.units) if config.normalisation == "batch" else nn.LayerNorm(2 * self.units)
        self.U = nn.Parameter(torch.empty(2 * self.units, self.units))
        for gate in self.U.data.chunk(2):
            nn.init.orthogonal_(gate) if config.orthogonal else nn.init.xavier_uniform_(gate)

    @property
    def outputs(self) -> int:
        return self.units * self.directions

    def forward(self, x: Tensor, sizes: list[int], reverse: Tensor) -> Tensor:
        """[frames, inputs] to [frames, units * directions]."""
        gates = self.norm(self.W(x))
        sizes = [size * self.directions for size in sizes]
        mask = None
        if self.training and self.dropout > 0:
            kept = torch.empty(sizes[0], self.units, device=x.device, dtype=gates.dtype)
            mask = kept.bernoulli_(1 - self.dropout).div_(1 - self.dropout)
        if self.directions == 2:
            gates = _BothWays.apply(gates, reverse)
        U = self.U if self.W.product_type == torch.float32 else self.U.to(self.W.product_type)
        states = light_recurrence(gates, U, sizes, mask, self.activation, self.stabilised)
        return _Together.apply(states, reverse) if self.directions == 2 else states


class _BothWays(torch.autograd.Function):
    """Row i becomes rows 2i, for the forward direction, and its mirror image 2i + 1, for the backward direction."""

    @staticmethod
    def forward(ctx, x: Tensor, reverse: Tensor) -> Tensor:
        ctx.save_for_backward(reverse)
        both = x.new_empty(len(x), 2, x.shape[1])
        both[:, 0] = x
        both[:, 1] = x.index_select(0, reverse)
        return both.view(-1, x.shape[1])

    @staticmethod
    def backward(ctx, grad: Tensor):
        (reverse,) = ctx.saved_tensors
        forwards, backwards = grad.view(len(reverse), 2, -1).unbind(1)
        return backwards.index_select(0, reverse).add_(forwards), None


class _Together(torch.autograd.Function):
    """The states of both directions side by side, each at its frame: [2 * frames, units] to [frames, 2 * units]."""

    @staticmethod
    def forward(ctx, states: Tensor, reverse: Tensor) -> Tensor:
        ctx.save_for_backward(reverse)
        forwards, backwards = states.view(len(reverse), 2, -1).unbind(1)
        return torch.cat([forwards, backwards.index_select(0, reverse)], 1)

    @staticmethod
    def backward(ctx, grad: Tensor):
        (reverse,) = ctx.saved_tensors
        units = grad.shape[1] // 2
        both = grad.new_empty(len(reverse), 2, units)
        both[:, 0] = grad[:, :units]
        both[:, 1] = grad[:, units:].index_select(0, reverse)
        return both.view(-1, units), None


class TorchLayer(nn.Module):
    """One layer of torch.nn.GRU or torch.nn.LSTM (cuDNN on a GPU), dropout on its output."""

    def __init__(self, inputs: int, config: Config) -> None:
        super().__init__()
        kind = {"gru": nn.GRU, "lstm": nn.LSTM}[config.network]
        self.rnn = kind(inputs, config.units, bidirectional=config.directions == 2)
        self.dropout = nn.Dropout(config.dropout)
        self.outputs = config.units * config.directions
        if config.orthogonal:
            for name, weight in self.rnn.named_parameters():
                if name.startswith("weight_hh"):
                    for gate in weight.data.split(config.units):
                        nn.init.orthogonal_(gate)

    def forward(self, x: Tensor, sizes: list[int], reverse: Tensor) -> Tensor:
        """[frames, inputs] to [frames, units * directions]."""
        packed, _ = self.rnn(PackedSequence(x, torch.tensor(sizes)))
        return self.dropout(packed.data)


class FrameLayer(nn.Module):
    """One hidden layer of an MLP: each frame by itself."""

    def __init__(self, inputs: int, config: Config) -> None:
        super().__init__()
        self.W = Product(inputs, config.units, config.precision)
        self.norm = FrameBatchNorm(config.units) if config.normalisation == "batch" else nn.LayerNorm(config.units)
        self.activation = torch.relu if config.activation == "relu" else torch.tanh
        self.dropout = nn.Dropout(config.dropout)
        self.outputs = config.units

    def forward(self, x: Tensor, sizes: list[int], reverse: Tensor) -> Tensor:
        """[frames, inputs] to [frames, units]."""
        return self.dropout(self.activation(self.norm(self.W(x))))


LAYERS: dict[str, type[LightLayer] | type[TorchLayer] | type[FrameLayer]] = {
    "ligru": LightLayer,
    "sligru": LightLayer,
    "gru": TorchLayer,
    "lstm": TorchLayer,
    "mlp": FrameLayer,
}


class AcousticModel(nn.Module):
    """Hidden layers and an output over pdfs, and a second one that only training uses: over phones where num_phones is
    not 0, over pdfs in a chain model, for cross-entropy.

    Where the configuration says so, the features are projected before the first layer, and frames that follow each
    other are stacked to one after it.
    """

    def __init__(self, config: Config, dim: int, num_pdfs: int, num_phones: int = 0) -> None:
        super().__init__()
        self.dim, self.num_pdfs, self.num_phones = dim, num_pdfs, num_phones
        self.projection = Product(dim, config.projection, config.precision) if config.projection else None
        self.layers = nn.ModuleList()
        width = config.projection or dim
        for _ in range(config.layers):
            layer = LAYERS[config.network](width, config)
            width = layer.outputs * (1 if self.layers else config.subsampling)
            self.layers.append(layer)
        self.subsampling, self.is_chain = config.subsampling, config.is_chain
        self.pdfs = Product(width, num_pdfs, config.precision, bias=True)
        self.cross_entropy = Product(width, num_pdfs, config.precision, bias=True) if self.is_chain else None
        self.phones = Product(width, num_phones, config.precision, bias=True) if num_phones else None

    def forward(self, feats: Tensor, sizes: list[int], reverse: Tensor) -> tuple[Tensor, Tensor | None]:
        """Packed features [frames, dim] to the outputs without a softmax: over pdfs [frames, pdfs], and the second one.

        With subsampling the frames are those of packing.subsample.
        """
        x = feats if self.projection is None else self.projection(feats)
        for number, layer in enumerate(self.layers):
            x = layer(x, sizes, reverse)
            if number == 0 and self.subsampling > 1:
                rows, packing = subsample(sizes, self.subsampling)
                sizes, reverse = packing.sizes, torch.from_numpy(packing.reverse).to(x.device)
                x = x.index_select(0, torch.from_numpy(rows.ravel()).to(x.device)).view(len(rows), -1)
        second = self.phones or self.cross_entropy
        return self.pdfs(x), None if second is None else second(x)

    def follow_batch(self) -> None:
        """Take the statistics of the last batch that was trained on into those of the forward pass."""
        for module in self.modules():
            if isinstance(module, FrameBatchNorm):
                module.follow_batch()
