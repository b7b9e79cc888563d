"""The networks of model.py as ONNX graphs over one utterance: a Scan for the recurrence of Li-GRU and SLi-GRU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from local.whole_file import write_file
from nnet.ligru.model import FrameLayer, LightLayer, Product, TorchLayer
from nnet.ligru.norm import EPS, FrameBatchNorm
from nnet.ligru.packed_states import LAYER_NORM_EPS
from nnet.ligru.scorer import Scorer

OPSET = 17
TOLERANCE = 1e-3  # of log-likelihoods, between onnxruntime and PyTorch
GATES_IN_ONNX = {"gru": (1, 0, 2), "lstm": (0, 3, 1, 2)}  # z r h of PyTorch's r z n; i o f c of its i f g o
START = np.iinfo(np.int64).min  # of a slice that runs backwards to the first element


class _Graph:
    """Nodes and constants; each call of add names and returns an output."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Tensor | np.ndarray | list) -> str:
        array = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
        name = f"{self.prefix}c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes) -> str | list[str]:
        names = [f"{self.prefix}n{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def reversed(self, x: str) -> str:
        """The first axis backwards."""
        bounds = (self.constant(np.array([value], np.int64)) for value in (-1, START, 0, -1))
        return self.add("Slice", x, *bounds)


def write_onnx(scorer: Scorer, path: Path) -> float:
    """Write the first model of a scorer, with its priors. Returns the largest difference that a check found.

    The written model multiplies in float32, and so does the scorer's from now on. ValueError if it does not give the
    same log-likelihoods.
    """
    model = scorer.models[0]
    for module in model.modules():
        if isinstance(module, Product):
            module.product_type = torch.float32
    dim = model.dim // (sum(scorer.context) + 1)
    graph = _Graph()
    x = _context(graph, "feats", scorer.context)
    for layer in model.layers:
        x = _LAYERS[type(layer)](graph, x, layer)
    x = graph.add("Gemm", x, graph.constant(model.pdfs.weight), graph.constant(model.pdfs.bias), transB=1)
    x = graph.add("LogSoftmax", x, axis=1)
    graph.nodes.append(helper.make_node("Sub", [x, graph.constant(scorer.log_priors)], ["loglikes"]))
    proto = helper.make_graph(
        graph.nodes,
        "acoustic_model",
        [helper.make_tensor_value_info("feats", TensorProto.FLOAT, ["frames", dim])],
        [helper.make_tensor_value_info("loglikes", TensorProto.FLOAT, ["frames", model.num_pdfs])],
        graph.constants,
    )
    whole = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(whole)
    content = whole.SerializeToString()
    difference = _check(scorer, content, dim)
    if not difference < TOLERANCE:
        raise ValueError(f"{path}: onnxruntime differs by {difference} from PyTorch; nothing was written")
    write_file(path, content)
    return difference


def _check(scorer: Scorer, content: bytes, dim: int) -> float:
    """Largest difference of log-likelihoods on random features of several lengths."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(1)
    utterances = [(str(frames), rng.normal(size=(frames, dim)).astype(np.float32)) for frames in (1, 7, 200)]
    feats = dict(utterances)
    return max(
        float(np.abs(session.run(None, {"feats": feats[id]})[0] - loglikes).max())
        for id, loglikes in scorer(utterances)
    )


def _context(graph: _Graph, feats: str, context: tuple[int, int]) -> str:
    """splice_context of data.py."""
    if context == (0, 0):
        return feats
    frames = graph.add("Gather", graph.add("Shape", feats), graph.constant(np.int64(0)))
    zero, one = graph.constant(np.int64(0)), graph.constant(np.int64(1))
    row = graph.add("Range", zero, frames, one)
    last = graph.add("Sub", frames, one)
    parts = []
    for shift in range(-context[0], context[1] + 1):
        rows = graph.add("Add", row, graph.constant(np.int64(shift)))
        parts.append(graph.add("Gather", feats, graph.add("Clip", rows, zero, last)))
    return graph.add("Concat", *parts, axis=1)


def _normalised_product(graph: _Graph, x: str, W: nn.Linear, norm: nn.Module) -> str:
    """Normalised input products; a batch normalisation becomes part of the product."""
    weight = W.weight.detach()
    if isinstance(norm, FrameBatchNorm):
        scale = norm.weight / torch.sqrt(norm.running_variance + EPS)
        bias = norm.bias - norm.running_mean * scale
        return graph.add("Gemm", x, graph.constant(weight * scale[:, None]), graph.constant(bias), transB=1)
    product = graph.add("MatMul", x, graph.constant(weight.T))
    return graph.add(
        "LayerNormalization", product, graph.constant(norm.weight), graph.constant(norm.bias), epsilon=norm.eps
    )


def _light_layer(graph: _Graph, x: str, layer: LightLayer) -> str:
    gates = _normalised_product(graph, x, layer.W, layer.norm)
    middle = graph.constant(np.array([1], np.int64))
    ways = [gates, graph.reversed(gates)][: layer.directions]
    gates = graph.add("Concat", *(graph.add("Unsqueeze", way, middle) for way in ways), axis=1)
    zero_state = graph.constant(np.zeros((layer.directions, layer.units), np.float32))
    _, states = graph.add("Scan", zero_state, gates, outputs=2, num_scan_inputs=1, body=_light_step(layer, graph))
    ways = [graph.add("Gather", states, graph.constant(np.int64(way)), axis=1) for way in range(layer.directions)]
    if layer.directions == 1:
        return ways[0]
    return graph.add("Concat", ways[0], graph.reversed(ways[1]), axis=1)


def _light_step(layer: LightLayer, graph: _Graph) -> onnx.GraphProto:
    """One step of the recurrence: state [directions, units], gates [directions, 2 * units] to the next state."""
    step = _Graph(f"step{len(graph.nodes)}_")
    state, gates, following, output = (f"{step.prefix}{name}" for name in ("state", "gates", "next", "out"))
    product = step.add("MatMul", state, step.constant(layer.U.detach().T))
    if layer.stabilised:
        ones, zeros = (step.constant(np.full(2 * layer.units, value, np.float32)) for value in (1, 0))
        product = step.add("LayerNormalization", product, ones, zeros, epsilon=LAYER_NORM_EPS)
    update, candidate = step.add("Split", step.add("Add", gates, product), outputs=2, axis=1)
    update = step.add("Sigmoid", update)
    candidate = step.add("Relu" if layer.activation == "relu" else "Tanh", candidate)
    kept = step.add("Mul", update, step.add("Sub", state, candidate))
    step.nodes.append(helper.make_node("Add", [candidate, kept], [following]))
    step.nodes.append(helper.make_node("Identity", [following], [output]))
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [layer.directions, width])
        for name, width in ((state, layer.units), (gates, 2 * layer.units))
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [layer.directions, layer.units])
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
    one = graph.constant(np.array([1], np.int64))
    options = {"linear_before_reset": 1} if kind == "gru" else {}
    states = graph.add(
        kind.upper(),
        graph.add("Unsqueeze", x, one),
        graph.constant(stacked("weight_ih")),
        graph.constant(stacked("weight_hh")),
        graph.constant(biases),
        hidden_size=layer.rnn.hidden_size,
        direction="bidirectional" if layer.rnn.bidirectional else "forward",
        **options,
    )
    return graph.add("Reshape", states, graph.constant(np.array([-1, layer.outputs], np.int64)))


def _frame_layer(graph: _Graph, x: str, layer: FrameLayer) -> str:
    product = _normalised_product(graph, x, layer.W, layer.norm)
    return graph.add("Relu" if layer.activation is torch.relu else "Tanh", product)


_LAYERS = {LightLayer: _light_layer, TorchLayer: _torch_layer, FrameLayer: _frame_layer}
