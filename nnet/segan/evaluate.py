"""Measure noisy or enhanced recordings against the clean ones: mean PESQ, STOI and SI-SDR, also by SNR.

Prints lines of results: system, test set, condition, metric and value, tab-separated.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from local.audio import AudioError, Segment, read_scp
from local.job_array import JobError, add_job_options, in_jobs
from local.levels import snr_band
from nnet.segan.log import log, stop_on_errors
from nnet.segan.metrics import has_pesq, measure
from nnet.segan.recordings import pair_recordings


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="evaluate", description=__doc__)
    parser.add_argument("clean", type=Path, help="Kaldi data directory or folder of the clean recordings")
    parser.add_argument("test", type=Path, help="the same recordings, noisy or enhanced")
    parser.add_argument("--utt2snr", type=Path, help="SNR in dB of each utterance, for means by SNR")
    parser.add_argument("--snr-step", type=float, default=5.0, help="SNRs are rounded to multiples of it, in dB")
    parser.add_argument("--test-set", default="test", help="name of the test set in the lines (default test)")
    parser.add_argument("--condition", default="enhanced", help="name of the condition in the lines (default enhanced)")
    parser.add_argument("--max-utts", type=int, default=0, help="measure so many, evenly chosen (default: all)")
    add_job_options(parser)
    parser.add_argument("--log-dir", type=Path, default=Path("exp/segan/log"), help="of jobs (default %(default)s)")
    parser.add_argument("--rate", type=int, default=16000, help="Hz; wide-band PESQ wants 16000")
    return parser.parse_args()


def choose(names: list[str], most: int) -> list[str]:
    """At most `most` of the names, evenly spread; all for 0."""
    count = min(most, len(names)) if most else len(names)
    return [names[position] for position in np.linspace(0, len(names) - 1, count).round().astype(int)]


def result_lines(rows: list[dict[str, float]], test_set: str, condition: str) -> list[str]:
    """One line a metric with its mean over rows; recordings without a value (no speech found by PESQ) are left out."""
    lines = []
    for metric in rows[0]:
        values = [row[metric] for row in rows if np.isfinite(row[metric])]
        if values:
            lines.append("\t".join(["-", test_set, condition, metric, f"{np.mean(values):.3f}"]))
    return lines


@stop_on_errors(ValueError, AudioError, JobError, OSError)
def main() -> None:
    arguments = parse_arguments()
    pairs = pair_recordings(arguments.clean, arguments.test)
    names = choose(list(pairs), arguments.max_utts)
    snrs = {name: float(snr) for name, snr in read_scp(arguments.utt2snr).items()} if arguments.utt2snr else {}
    if not has_pesq():
        log.warning("PESQ is not measured: the package pesq is missing (pip install pesq, which needs a C compiler)")

    def measure_all(pairs: Sequence[tuple[Segment, Segment]]) -> Iterator[dict[str, float]]:
        for clean, test in pairs:
            yield measure(clean.read(arguments.rate), test.read(arguments.rate), arguments.rate)

    log_file = arguments.log_dir / f"evaluate_{arguments.test_set}_{arguments.condition}"
    rows = dict(zip(names, in_jobs(measure_all, [pairs[name] for name in names], arguments, log_file), strict=True))
    lines = result_lines(list(rows.values()), arguments.test_set, arguments.condition)
    bands: dict[str, list[str]] = {}
    for name in sorted((name for name in names if name in snrs), key=snrs.__getitem__):
        bands.setdefault(snr_band(snrs[name], arguments.snr_step), []).append(name)
    for band, members in bands.items():
        condition = f"{arguments.condition}_{band}"
        lines += result_lines([rows[name] for name in members], arguments.test_set, condition)
    print("\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
