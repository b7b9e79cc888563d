"""A tiny encoder with random weights, in the format of the library that runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nnet.encoder.encoder import LONGEST
from nnet.encoder.tokens import byte_characters

# Single bytes, a few that are joined, and Whisper's marks
WORDS = [*byte_characters(), "ab", "Ġa", "Ġab", "<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"]
POSITIONS = 96  # of the decoder


def tiny_encoder(
    folder: Path, *, dim: int = 8, bands: int = 80, seed: int = 1, quantization: str | None = None
) -> Path:
    """A Whisper model of one layer each for its encoder and its decoder; features of so many dimensions."""
    from ctranslate2.specs import WhisperSpec

    random = np.random.default_rng(seed)

    def weights(*shape: int) -> np.ndarray:
        return (random.normal(size=shape) / np.sqrt(shape[-1])).astype(np.float32)

    def linear(layer, outputs: int, inputs: int) -> None:
        layer.weight, layer.bias = weights(outputs, inputs), weights(outputs)

    def norm(layer) -> None:
        layer.gamma, layer.beta = np.ones(dim, np.float32), np.zeros(dim, np.float32)

    def transform(layer) -> None:
        norm(layer.self_attention.layer_norm)
        linear(layer.self_attention.linear[0], 3 * dim, dim)
        linear(layer.self_attention.linear[1], dim, dim)
        norm(layer.ffn.layer_norm)
        linear(layer.ffn.linear_0, 2 * dim, dim)
        linear(layer.ffn.linear_1, dim, 2 * dim)

    spec = WhisperSpec(num_encoder_layers=1, num_encoder_heads=2, num_decoder_layers=1, num_decoder_heads=2)
    spec.encoder.conv1.weight, spec.encoder.conv1.bias = weights(dim, bands, 3), weights(dim)
    spec.encoder.conv2.weight, spec.encoder.conv2.bias = weights(dim, dim, 3), weights(dim)
    spec.encoder.position_encodings.encodings = weights(LONGEST, dim)
    transform(spec.encoder.layer[0])
    norm(spec.encoder.layer_norm)
    decoder = spec.decoder
    decoder.embeddings.weight, decoder.projection.weight = weights(len(WORDS), dim), weights(len(WORDS), dim)
    decoder.position_encodings.encodings = weights(POSITIONS, dim)
    transform(decoder.layer[0])
    norm(decoder.layer[0].attention.layer_norm)
    for number, outputs in enumerate((dim, 2 * dim, dim)):
        linear(decoder.layer[0].attention.linear[number], outputs, dim)
    norm(decoder.layer_norm)
    spec.register_vocabulary(WORDS)
    spec.validate()
    spec.optimize(quantization=quantization)
    folder.mkdir(parents=True)
    spec.save(str(folder))
    return folder
