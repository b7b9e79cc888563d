"""A SEGAN small enough for tests, and its programs called in this process."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

TINY = """
[tiny]
window = 1024
stride = 4
g_depths = [4, 6]
d_depths = [4, 6]
input_skip = true
reference_batch = 2
batch_size = 4
epochs = 2
d_noise_std = 0.1
"""

SPECTRAL = """
[spectral_tiny]
generator = "spectral"
window = 1024
overlap = 0.25
preemphasis = 0.0
frame = 64
frame_hop = 32
g_depths = [4, 6]
g_strides = [4, 2]
dilations = [1, 2]
units = 8
stride = 4
d_depths = [4, 6]
z = false
init_std = 0.0
optimizer = "adam"
adversarial_weight = 0.0
l1_weight = 0.0
complex_weight = 1.0
si_sdr_weight = 0.01
g_learning_rate = 1e-3
reference_batch = 2
batch_size = 4
epochs = 2
"""


def run(monkeypatch: pytest.MonkeyPatch, program: object, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["program", *map(str, arguments)])
    return program.main()


def write_reference_checkpoint(values: dict[str, np.ndarray], prefix: Path) -> None:
    """Save variables by name, as TensorFlow 1 does."""
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        for name, value in values.items():
            tf.compat.v1.get_variable(name, initializer=value.astype(np.float32))
        saver = tf.compat.v1.train.Saver()
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            saver.save(session, str(prefix), write_meta_graph=False)
