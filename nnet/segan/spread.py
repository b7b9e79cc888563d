"""Show what a SEGAN of the direction add-noise does: SNR of its noisy copies, and how much they differ over z.

Prints for each copy of a set the mean and the standard deviation of the SNR over utterances in dB, and for each two
copies the mean correlation of their noises: 1 if z changes nothing, 0 if the noises have nothing in common.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np

from local.audio import AudioError
from nnet.segan.log import stop_on_errors
from nnet.segan.recordings import pair_recordings, read_pair

RATE = 16000


def snr(clean: np.ndarray, noise: np.ndarray) -> float:
    """In dB, over whole signals."""
    return float(10 * np.log10(max(np.dot(clean, clean), 1e-12) / max(np.dot(noise, noise), 1e-12)))


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.dot(one, other) / max(np.linalg.norm(one) * np.linalg.norm(other), 1e-12))


@stop_on_errors(ValueError, AudioError, OSError)
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="spread", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clean", type=Path, help="Kaldi data directory or folder of the clean recordings")
    parser.add_argument("copies", type=Path, nargs="+", help="the same recordings with noise, one for each z")
    parser.add_argument("--cut", action="store_true", help="cut pairs of different length to the shorter one")
    arguments = parser.parse_args()
    noises = []
    for copy in arguments.copies:
        found = pair_recordings(arguments.clean, copy)
        pairs = [read_pair(name, pair, RATE, arguments.cut) for name, pair in found.items()]
        noises.append([noisy - clean for clean, noisy in pairs])
        snrs = [snr(clean, noisy - clean) for clean, noisy in pairs]
        print(f"{copy}\tSNR {np.mean(snrs):.2f} dB, standard deviation {np.std(snrs):.2f}")
    for (one, noise), (other, another) in itertools.combinations(zip(arguments.copies, noises, strict=True), 2):
        alike = np.mean([correlation(*pair) for pair in zip(noise, another, strict=True)])
        print(f"{one}\t{other}\tcorrelation of the noises {alike:.3f}")


if __name__ == "__main__":
    sys.exit(main())
