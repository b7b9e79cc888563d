#!/usr/bin/env python3
"""PESQ, STOI and SI-SDR by SNR of noisy speech, of SEGAN's, and of two baselines that need no training.

Prints a Markdown table. The baselines are the Wiener filter of SciPy (local statistics of the waveform, 29 samples) and
the spectral gating of noisereduce (stationary), where it is installed (pip install noisereduce).
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections import defaultdict
from multiprocessing import Pool
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from scipy.signal import wiener  # noqa: E402

from local.audio import AudioError, Segment, read_scp  # noqa: E402
from nnet.segan.evaluate import choose, snr_band  # noqa: E402
from nnet.segan.metrics import METRICS, measure  # noqa: E402
from nnet.segan.recordings import pair_recordings  # noqa: E402

RATE = 16000
WIENER_SAMPLES = 29


def filter_wiener(noisy: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):  # silence has no variance
        return np.nan_to_num(wiener(noisy.astype(np.float64), WIENER_SAMPLES))


def gate_spectrum(noisy: np.ndarray) -> np.ndarray:
    from noisereduce import reduce_noise

    return reduce_noise(y=noisy, sr=RATE, stationary=True)


def measure_all(job: dict[str, Segment]) -> dict[str, dict[str, float]]:
    """Metrics of one utterance by system; job holds its recordings, one of them `clean`."""
    signals = {name: recording.read(RATE) for name, recording in job.items()}
    clean, noisy = signals.pop("clean"), signals["noisy"]
    signals["Wiener filter"] = filter_wiener(noisy)
    if importlib.util.find_spec("noisereduce"):
        signals["spectral gating"] = gate_spectrum(noisy)
    return {name: measure(clean, signal, RATE) for name, signal in signals.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clean", type=Path, help="Kaldi data directory of the clean recordings")
    parser.add_argument("noisy", type=Path, help="the same recordings with noise; has utt2snr")
    parser.add_argument("enhanced", type=Path, nargs="+", help="the same recordings enhanced, one column each")
    parser.add_argument("--max-utts", type=int, default=0, help="measure so many, evenly chosen (default: all)")
    parser.add_argument("--nj", type=int, default=1, help="processes")
    arguments = parser.parse_args()
    try:
        snrs = read_scp(arguments.noisy / "utt2snr")
        jobs = {name: {"clean": clean, "noisy": noisy} for name, (clean, noisy) in pairs_of(arguments, arguments.noisy)}
        for directory in arguments.enhanced:
            for name, (_, enhanced) in pairs_of(arguments, directory):
                jobs[name][directory.name] = enhanced
    except (ValueError, OSError, AudioError) as error:
        sys.exit(f"bench/speech_quality.py: {error}")
    names = choose(list(jobs), arguments.max_utts)
    with Pool(arguments.nj) as pool:
        rows = pool.map(measure_all, [jobs[name] for name in names], chunksize=4)
    bands: dict[str, list[dict[str, dict[str, float]]]] = defaultdict(list)
    for name, row in zip(names, rows, strict=True):
        bands[snr_band(float(snrs[name]), 5.0)].append(row)
    print_table(dict(sorted(bands.items(), key=lambda item: float(item[0].removesuffix("dB")))) | {"all": rows})


def pairs_of(arguments: argparse.Namespace, directory: Path) -> list[tuple[str, tuple[Segment, Segment]]]:
    return list(pair_recordings(arguments.clean, directory).items())


def print_table(bands: dict[str, list[dict[str, dict[str, float]]]]) -> None:
    systems = list(next(iter(bands.values()))[0])
    metrics = [metric for metric in METRICS if metric in bands["all"][0]["noisy"]]
    print("| SNR | utterances | " + " | ".join(f"{metric} {name}" for metric in metrics for name in systems) + " |")
    print("|---" * (2 + len(metrics) * len(systems)) + "|")
    for band, rows in bands.items():
        cells = [np.nanmean([row[name][metric] for row in rows]) for metric in metrics for name in systems]
        print(f"| {band} | {len(rows)} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |")


if __name__ == "__main__":
    main()
