"""The networks of model.py as ONNX graphs over a batch of utterances: a Scan for the recurrence of Li-GRU and SLi-GRU.

Inside a graph features and states are [frames, batch, width]. What is computed behind the end of an utterance means
nothing, and nothing that is in front of it depends on it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from local.whole_file import write_file
from nnet.ligru.config import CMVN_OPTIONS
from nnet.ligru.model import FrameLayer, LightLayer, Product, TorchLayer
from nnet.ligru.norm import EPS, FrameBatchNorm
from nnet.ligru.packed_states import LAYER_NORM_EPS
from nnet.ligru.scorer import Scorer
from nnet.ligru.streams import FILE

OPSET = 17
FEATS, LENGTHS, LOGLIKES = "feats", "lengths", "loglikes"  # the inputs and the output
TOLERANCE = 1e-3  # of log-likelihoods, between onnxruntime and PyTorch
GATES_IN_ONNX = {"gru": (1, 0, 2), "lstm": (0, 3, 1, 2)}  # z r h of PyTorch's r z n; i o f c of its i f g o


class _Graph:
    """Nodes and constants; each call of add names and returns an output."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.lengths = LENGTHS  # of the utterances at the frame rate of what is computed next
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Tensor | np.ndarray | np.generic | list) -> str:
        array = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
        name = f"{self.prefix}c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes) -> str:
        return self.add_several(1, operator, *inputs, **attributes)[0]

    def add_several(self, outputs: int, operator: str, *inputs: str, **attributes) -> list[str]:
        names = [f"{self.prefix}n{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names

    def size(self, x: str, axis: int) -> str:
        """Length of an axis, int64 []."""
        return self.add("Gather", self.add("Shape", x), self.constant(np.int64(axis)))

    def backwards(self, x: str) -> str:
        """Each utterance backwards, its padding left behind it."""
        return self.add("ReverseSequence", x, self.lengths, time_axis=0, batch_axis=1)

    def unsqueezed(self, x: str, axis: int) -> str:
        return self.add("Unsqueeze", x, self.constant(np.array([axis], np.int64)))


def write_onnx(scorer: Scorer, path: Path) -> float:
    """Write the first model of a scorer, with its priors. Returns the largest difference that a check found.

    The written model multiplies in float32, and so does the scorer's from now on. ValueError if it does not give the
    same log-likelihoods.
    """
    model = scorer.models[0]
    for module in model.modules():
        if isinstance(module, Product):
            module.precision = torch.float32
    dim = model.dim // (sum(scorer.context) + 1)
    graph = _Graph()
    x = _context(graph, graph.add("Transpose", FEATS, perm=(1, 0, 2)), scorer.context)
    if model.projection is not None:
        x = graph.add("MatMul", x, graph.constant(model.projection.weight.T))
    for number, layer in enumerate(model.layers):
        x = _LAYERS[type(layer)](graph, x, layer)
        if number == 0 and model.subsampling > 1:
            x = _subsampled(graph, x, model.subsampling)
    x = graph.add("Add", graph.add("MatMul", x, graph.constant(model.pdfs.weight.T)), graph.constant(model.pdfs.bias))
    if not scorer.is_chain:
        x = graph.add("Sub", graph.add("LogSoftmax", x, axis=2), graph.constant(scorer.log_priors))
    graph.nodes.append(helper.make_node("Transpose", [x], [LOGLIKES], perm=(1, 0, 2)))
    proto = helper.make_graph(
        graph.nodes,
        "acoustic_model",
        [
            helper.make_tensor_value_info(FEATS, TensorProto.FLOAT, ["batch", "frames", dim]),
            helper.make_tensor_value_info(LENGTHS, TensorProto.INT64, ["batch"]),
        ],
        [helper.make_tensor_value_info(LOGLIKES, TensorProto.FLOAT, ["batch", "output_frames", model.num_pdfs])],
        graph.constants,
    )
    whole = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    properties = {
        "cmvn_opts": CMVN_OPTIONS[scorer.cmvn],
        "prior_scale": "0" if scorer.is_chain else str(scorer.prior_scale),
        "frame_subsampling_factor": str(model.subsampling),
        "num_pdfs": str(model.num_pdfs),
        "left_context": str(scorer.context[0]),
        "right_context": str(scorer.context[1]),
    }
    if (streams := scorer.directories[0] / FILE).exists():
        properties[FILE] = streams.read_text().strip()
    helper.set_model_props(whole, properties)
    onnx.checker.check_model(whole)
    content = whole.SerializeToString()
    difference = _check(scorer, content, dim)
    if not difference < TOLERANCE:
        raise ValueError(f"{path}: onnxruntime differs by {difference} from PyTorch; nothing was written")
    write_file(path, content)
    return difference


def _check(scorer: Scorer, content: bytes, dim: int) -> float:
    """Largest difference of log-likelihoods on a batch of random features of several lengths."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    lengths = np.array([7, 200, 1])
    feats = np.random.default_rng(1).normal(size=(len(lengths), lengths.max(), dim)).astype(np.float32)
    (ours,) = session.run(None, {FEATS: feats, LENGTHS: lengths})
    utterances = [(str(i), feats[i, :frames]) for i, frames in enumerate(lengths)]
    if ours.shape[1] != -(-lengths.max() // scorer.subsampling):
        return np.inf
    return max(float(np.abs(ours[int(id), : len(theirs)] - theirs).max()) for id, theirs in scorer(utterances))


def _context(graph: _Graph, x: str, context: tuple[int, int]) -> str:
    """splice_context of data.py: [frames, batch, dim] to [frames, batch, (left + 1 + right) * dim]."""
    if context == (0, 0):
        return x
    zero, one = graph.constant(np.int64(0)), graph.constant(np.int64(1))
    frames = graph.add("Range", zero, graph.size(x, 0), one)
    return _side_by_side(graph, x, frames, range(-context[0], context[1] + 1))


def _subsampled(graph: _Graph, x: str, factor: int) -> str:
    """packing.subsample: [frames, batch, dim] to [ceil(frames / factor), batch, factor * dim]."""
    zero, step = graph.constant(np.int64(0)), graph.constant(np.int64(factor))
    frames = graph.add("Range", zero, graph.size(x, 0), step)
    x = _side_by_side(graph, x, frames, range(factor))
    rounded_up = graph.add("Add", graph.lengths, graph.constant(np.int64(factor - 1)))
    graph.lengths = graph.add("Div", rounded_up, step)
    return x


def _side_by_side(graph: _Graph, x: str, frames: str, shifts: range) -> str:
    """Of each of these frames the neighbours, an utterance's first and last ones repeated: [frames, batch, dims]."""
    zero, one = graph.constant(np.int64(0)), graph.constant(np.int64(1))
    batch = graph.size(x, 1)
    utterance = graph.add("Range", zero, batch, one)
    frame = graph.unsqueezed(frames, 1)
    last = graph.add("Sub", graph.lengths, one)
    rows = graph.add("Flatten", x, axis=2)  # frames of all utterances of a step, then those of the next
    parts = []
    for shift in shifts:
        shifted = graph.add("Add", frame, graph.constant(np.int64(shift)))
        shifted = graph.add("Min", graph.add("Max", shifted, zero), last)
        parts.append(graph.add("Gather", rows, graph.add("Add", graph.add("Mul", shifted, batch), utterance)))
    return graph.add("Concat", *parts, axis=2)


def _normalised_product(graph: _Graph, x: str, W: nn.Linear, norm: FrameBatchNorm | nn.LayerNorm) -> str:
    """Normalised input products; a batch normalisation becomes part of the product."""
    weight = W.weight.detach()
    if isinstance(norm, FrameBatchNorm):
        scale = norm.weight / torch.sqrt(norm.running_variance + EPS)
        bias = norm.bias - norm.running_mean * scale
        product = graph.add("MatMul", x, graph.constant((weight * scale[:, None]).T))
        return graph.add("Add", product, graph.constant(bias))
    product = graph.add("MatMul", x, graph.constant(weight.T))
    return graph.add(
        "LayerNormalization", product, graph.constant(norm.weight), graph.constant(norm.bias), epsilon=norm.eps
    )


def _light_layer(graph: _Graph, x: str, layer: LightLayer) -> str:
    gates = _normalised_product(graph, x, layer.W, layer.norm)
    if layer.directions == 2:  # as utterances of their own
        gates = graph.add("Concat", gates, graph.backwards(gates), axis=1)
    size = graph.add("Concat", graph.unsqueezed(graph.size(gates, 1), 0), graph.constant([layer.units]), axis=0)
    zeros = graph.add("ConstantOfShape", size)
    _, states = graph.add_several(2, "Scan", zeros, gates, num_scan_inputs=1, body=_light_step(layer, graph))
    if layer.directions == 1:
        return states
    forwards, backwards = graph.add_several(2, "Split", states, axis=1)
    return graph.add("Concat", forwards, graph.backwards(backwards), axis=2)


def _light_step(layer: LightLayer, graph: _Graph) -> onnx.GraphProto:
    """One step of the recurrence: state [sequences, units], gates [sequences, 2 * units] to the next state."""
    step = _Graph(f"step{len(graph.nodes)}_")
    state, gates, following, output = (f"{step.prefix}{name}" for name in ("state", "gates", "next", "out"))
    product = step.add("MatMul", state, step.constant(layer.U.detach().T))
    if layer.stabilised:
        ones, zeros = (step.constant(np.full(2 * layer.units, value, np.float32)) for value in (1, 0))
        product = step.add("LayerNormalization", product, ones, zeros, epsilon=LAYER_NORM_EPS)
    update, candidate = step.add_several(2, "Split", step.add("Add", gates, product), axis=1)
    update = step.add("Sigmoid", update)
    candidate = step.add("Relu" if layer.activation == "relu" else "Tanh", candidate)
    kept = step.add("Mul", update, step.add("Sub", state, candidate))
    step.nodes.append(helper.make_node("Add", [candidate, kept], [following]))
    step.nodes.append(helper.make_node("Identity", [following], [output]))
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["sequences", width])
        for name, width in ((state, layer.units), (gates, 2 * layer.units))
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["sequences", layer.units])
        for name in (following, output)
    ]
    return helper.make_graph(step.nodes, step.prefix, inputs, outputs, step.constants)


def _torch_layer(graph: _Graph, x: str, layer: TorchLayer) -> str:
    kind = "lstm" if isinstance(layer.rnn, nn.LSTM) else "gru"
    suffixes = ["", "_reverse"] if layer.rnn.bidirectional else [""]

    def stacked(name: str) -> Tensor:
        """A parameter of all directions, its gates in the order of ONNX."""
        values = (getattr(layer.rnn, f"{name}_l0{suffix}").detach() for suffix in suffixes)
        gates = (value.split(layer.rnn.hidden_size) for value in values)
        return torch.stack([torch.cat([parts[i] for i in GATES_IN_ONNX[kind]]) for parts in gates])

    biases = torch.cat([stacked("bias_ih"), stacked("bias_hh")], 1)
    options = {"linear_before_reset": 1} if kind == "gru" else {}
    states = graph.add(
        kind.upper(),
        x,
        graph.constant(stacked("weight_ih")),
        graph.constant(stacked("weight_hh")),
        graph.constant(biases),
        graph.add("Cast", graph.lengths, to=TensorProto.INT32),
        hidden_size=layer.rnn.hidden_size,
        direction="bidirectional" if layer.rnn.bidirectional else "forward",
        **options,
    )
    states = graph.add("Transpose", states, perm=(0, 2, 1, 3))  # [frames, batch, directions, units]
    return graph.add("Reshape", states, graph.constant(np.array([0, 0, layer.outputs], np.int64)))


def _frame_layer(graph: _Graph, x: str, layer: FrameLayer) -> str:
    product = _normalised_product(graph, x, layer.W, layer.norm)
    return graph.add("Relu" if layer.activation is torch.relu else "Tanh", product)


_LAYERS: dict[type, Callable[..., str]] = {
    LightLayer: _light_layer,
    TorchLayer: _torch_layer,
    FrameLayer: _frame_layer,
}
