"""Where TensorFlow computes: all visible GPUs, or the CPU."""

from __future__ import annotations

import tensorflow as tf

from nnet.segan.log import log


def choose_strategy(use_gpu: str, threads: int = 0) -> tf.distribute.Strategy:
    """A mirrored strategy over all GPUs that CUDA_VISIBLE_DEVICES leaves, or the default one on the CPU.

    use_gpu is auto, true (ValueError if there is none) or false; threads bounds the CPU threads (0: all cores).
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.experimental.enable_op_determinism()
    tf.random.set_seed(0)
    gpus = tf.config.list_physical_devices("GPU")
    if use_gpu == "true" and not gpus:
        raise ValueError("--use-gpu true, but TensorFlow sees no GPU (is tensorflow-cpu installed?)")
    if use_gpu == "false" or not gpus:
        tf.config.set_visible_devices([], "GPU")
        log.info("computing on the CPU%s", "" if gpus else ", TensorFlow sees no GPU")
        return tf.distribute.get_strategy()
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    log.info("computing on %d GPU(s)", len(gpus))
    return tf.distribute.MirroredStrategy()
