"""Whisper's encoder through CTranslate2: recordings to features, 50 a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nnet.encoder.mel import log_mel

FACTOR = 2  # frames of 10 ms that one of its frames stands for: its second convolution takes every second one
WHISPERS_BANDS = (80, 128)  # 128: large-v3
LONGEST = 1500  # frames that it has positions for, 30 s
OVERLAP = 500  # frames, at least, that two windows of a longer recording share


class Encoder:
    """An encoder of Whisper's family in a folder of CTranslate2's format, with 8-bit weights on a CPU."""

    def __init__(self, folder: Path, use_gpu: str = "false", workers: int = 1) -> None:
        """use_gpu: auto, true or false. workers: threads that may call it at a time. Raises ValueError."""
        try:
            import ctranslate2
        except ImportError:
            raise ValueError(
                "the package ctranslate2 is not installed: local/install_packages.sh requirements.txt "
                "requirements-encoder.txt"
            ) from None
        gpu = use_gpu == "true" or (use_gpu == "auto" and ctranslate2.get_cuda_device_count() > 0)
        device, precision = ("cuda", "float16") if gpu else ("cpu", "int8")
        try:
            self._model = ctranslate2.models.Whisper(
                str(folder), device, compute_type=precision, inter_threads=workers, intra_threads=1
            )
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(f"{folder}: no encoder of Whisper's family that can be loaded ({reason})") from None
        self._view = ctranslate2.StorageView.from_array
        self.bands = self._model.n_mels
        if self.bands not in WHISPERS_BANDS:
            bands = " or ".join(map(str, WHISPERS_BANDS))
            raise ValueError(f"{folder}: a model for {self.bands} mel bands, Whisper's have {bands}")

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Samples at 16 kHz, in [-1, 1], to float32 [frames, dim]; frame i stands for frames 2 i and 2 i + 1 of 10 ms.

        A recording is as long as it is, not padded to the 30 s that Whisper was trained on. A longer one is computed in
        windows of 30 s that overlap by 10 s or more; where they do, one fades into the other.
        """
        mel = log_mel(samples, self.bands)
        total = -(-mel.shape[1] // FACTOR)
        if total <= LONGEST:
            return self._encode(mel)
        windows = -(-(total - OVERLAP) // (LONGEST - OVERLAP))
        rising = np.arange(1, LONGEST + 1) / OVERLAP
        weight = np.minimum(np.minimum(rising, rising[::-1]), 1).astype(np.float32)[:, None]
        sums, weights = None, np.zeros((total, 1), np.float32)
        for start in np.linspace(0, total - LONGEST, windows).round().astype(int):
            frames = self._encode(mel[:, FACTOR * start : FACTOR * (start + LONGEST)])
            if sums is None:
                sums = np.zeros((total, frames.shape[1]), np.float32)
            sums[start : start + LONGEST] += weight * frames
            weights[start : start + LONGEST] += weight
        assert sums is not None
        sums /= weights
        return sums

    def _encode(self, mel: np.ndarray) -> np.ndarray:
        """Up to 30 s: [bands, frames] to [frames / 2, dim]."""
        output = self._model.encode(self._view(np.ascontiguousarray(mel[None])), to_cpu=True)
        return np.array(output, np.float32)[0]
