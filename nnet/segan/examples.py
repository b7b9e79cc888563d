"""Examples to listen to and to look at: some recordings noisy, enhanced and clean, with their spectrograms.

Writes UTTERANCE.noisy.wav, UTTERANCE.enhanced.wav, UTTERANCE.clean.wav and UTTERANCE.png for each of them, evenly
chosen by their SNR where the noisy data directory has a utt2snr, else by their place in it.
"""

from __future__ import annotations

import argparse
import sys
from multiprocessing import Pool
from pathlib import Path

from local.audio import RATE, AudioError, Segment, list_utterances, read_scp, write_audio
from nnet.segan.evaluate import choose
from nnet.segan.log import log, stop_on_errors
from nnet.segan.pictures import draw_spectrograms


def write_examples(noisy: Path, enhanced: Path, clean: Path, out: Path, count: int, nj: int = 1) -> list[str]:
    """Returns the utterances. Raises ValueError if they are not in all three data directories, AudioError, OSError."""
    sets = {"noisy": list_utterances(noisy), "enhanced": list_utterances(enhanced), "clean": list_utterances(clean)}
    utterances = list(sets["noisy"])
    if (noisy / "utt2snr").is_file():
        snrs = read_scp(noisy / "utt2snr")
        utterances.sort(key=lambda utterance: float(snrs.get(utterance, "inf")))
    chosen = choose(utterances, count)
    for utterance in chosen:
        for directory, there in zip((noisy, enhanced, clean), sets.values(), strict=True):
            if utterance not in there:
                raise ValueError(f"{directory}: has no {utterance}, which {noisy} has")
    out.mkdir(parents=True, exist_ok=True)
    jobs = [(utterance, {name: there[utterance] for name, there in sets.items()}, out) for utterance in chosen]
    with Pool(nj) as pool:
        pool.starmap(write_example, jobs)
    return chosen


def write_example(utterance: str, conditions: dict[str, Segment], out: Path) -> None:
    signals = {condition: segment.read(RATE) for condition, segment in conditions.items()}
    for condition, samples in signals.items():
        write_audio(out / f"{utterance}.{condition}.wav", samples)
    draw_spectrograms(signals, RATE, out / f"{utterance}.png")


@stop_on_errors(ValueError, AudioError, OSError)
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="examples", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for condition in ("noisy", "enhanced", "clean"):
        parser.add_argument(condition, type=Path, help=f"Kaldi data directory of {condition} recordings")
    parser.add_argument("out", type=Path, help="folder to write into")
    parser.add_argument("--count", type=int, default=5, help="recordings (default %(default)s)")
    parser.add_argument("--nj", type=int, default=1, help="processes")
    arguments = parser.parse_args()
    if arguments.count < 1:
        parser.error("--count: at least 1")
    directories = arguments.noisy, arguments.enhanced, arguments.clean
    written = write_examples(*directories, arguments.out, arguments.count, arguments.nj)
    log.info("wrote %d examples to %s", len(written), arguments.out)


if __name__ == "__main__":
    sys.exit(main())
