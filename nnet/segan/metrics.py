"""How good enhanced speech is, measured against the clean recording: SI-SDR, STOI, PESQ."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np

from local.audio import resample
from nnet.segan.log import log

METRICS = ("PESQ", "STOI", "SI-SDR")
PESQ_RATE = 16000  # Hz
LOWEST_PESQ, HIGHEST_PESQ = 1.0, 4.64  # of the wide-band one


def si_sdr(clean: np.ndarray, degraded: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019) of 1-D signals of one length."""
    clean = clean - clean.mean(dtype=np.float64)
    degraded = degraded - degraded.mean(dtype=np.float64)
    target = clean * (np.dot(degraded, clean) / max(np.dot(clean, clean), 1e-20))
    distortion = degraded - target
    return float(10 * np.log10(max(np.dot(target, target), 1e-20) / max(np.dot(distortion, distortion), 1e-20)))


def stoi(clean: np.ndarray, degraded: np.ndarray, rate: int) -> float:
    """Short-time objective intelligibility (Taal et al. 2011), about 0 to 1; NaN where there is not even a frame."""
    import pystoi

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer frames than a segment: pystoi warns and returns 1e-5
        try:
            return float(pystoi.stoi(clean, degraded, rate))
        except ValueError:
            return float("nan")


def has_pesq() -> bool:
    """Whether PESQ can be measured here: its package is compiled on installation, so not every machine has it."""
    return importlib.util.find_spec("pesq") is not None


def pesq(clean: np.ndarray, degraded: np.ndarray, rate: int) -> float:
    """Wide-band PESQ (ITU-T P.862.2), about 1 to 4.6, of signals brought to the 16 kHz that it is defined for.

    NaN where no speech is found, and where the package cannot measure: an optional one ends no training.
    """
    try:
        import pesq as itu

        return float(itu.pesq(PESQ_RATE, *(resample(signal, rate, PESQ_RATE) for signal in (clean, degraded)), "wb"))
    except Exception as error:  # whatever a compiled package may raise, on import too
        log.debug("PESQ: %s", error)
        return float("nan")


def measure(clean: np.ndarray, degraded: np.ndarray, rate: int) -> dict[str, float]:
    """All metrics of a recording that can be measured on this machine, in the order of METRICS."""
    shorter = min(len(clean), len(degraded))
    clean, degraded = clean[:shorter], degraded[:shorter]
    found = {"PESQ": pesq(clean, degraded, rate)} if has_pesq() else {}
    return found | {"STOI": stoi(clean, degraded, rate), "SI-SDR": si_sdr(clean, degraded)}
