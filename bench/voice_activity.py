#!/usr/bin/env python3
"""What of long recordings is left out as a pause, and what that does to the words.

bench/voice_activity.py MODEL DATA_DIR NOISE_DIR: a packed model, a data directory with text, and recordings of noise.
The utterances of each speaker become one recording, with pauses of 0.5 to 6 s, in noise at each signal-to-noise ratio.
Speech is where the words of the utterances are, by forced alignment. Ways to find it:

    all         nothing is left out
    level       local/cut_at_pauses.py: pauses that are quiet
    energy      Kaldi's compute-vad, with its default options
    silero-P    the package silero-vad from a probability of P on (pip install --no-deps silero-vad)

The last two leave out of pauses what the second does. Prints a table of the share of speech that is lost and of the
rest that is kept, word error rates, and the processor time of recognition. One thread (OMP_NUM_THREADS=1).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from kaldi.feat.spectral import FrontEnd, FrontEndOptions, MfccOptions
from kaldi.feat.wave import Wave
from kaldi.programs.frames import is_voiced
from kaldi.util.edit_distance import align
from local.audio import RATE, list_utterances, read_audio, read_scp
from local.cut_at_pauses import FRAME, LONG_PAUSE, PAUSE_MARGIN, cut, parts, without_pauses
from local.levels import active_power
from nnet.recogniser import Recogniser, TextError

PAUSES = 0.5, 6.0  # seconds
WITHIN = 0.3  # seconds between words that count as speech
WINDOW, CONTEXT = 512, 64  # samples of silero's frames, and of what it sees before each

Find = Callable[[np.ndarray], np.ndarray]  # samples to whether there is speech in each frame


def by_energy(samples: np.ndarray) -> np.ndarray:
    options = FrontEndOptions(), MfccOptions(use_energy=True)
    energy = FrontEnd(*options).compute(Wave(32768 * samples[None], RATE), 0)[:, 0]
    return is_voiced(energy, 5.0, 0.5, 0, 0.6) > 0


def by_silero(threshold: float) -> Find:
    import onnxruntime

    spec = find_spec("silero_vad")
    if spec is None or spec.origin is None:
        sys.exit("voice_activity.py: silero-vad is not installed (pip install --no-deps silero-vad)")
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    path = Path(spec.origin).with_name("data") / "silero_vad_16k_sequence.onnx"
    session = onnxruntime.InferenceSession(str(path), options)

    def find(samples: np.ndarray) -> np.ndarray:
        windows = np.pad(samples, (0, -len(samples) % WINDOW)).reshape(-1, WINDOW).astype(np.float32)
        before = np.concatenate([np.zeros((1, CONTEXT), np.float32), windows[:-1, -CONTEXT:]])
        state = np.zeros((1, 1, 128), np.float32)
        inputs = {"input": np.concatenate([before, windows], axis=1), "h": state, "c": state}
        probabilities = session.run(["speech_probs"], inputs)[0]
        is_speech, speaks = np.zeros(len(probabilities), bool), False
        for place, probability in enumerate(probabilities):  # it ends below seven tenths of what begins it
            speaks = probability >= threshold * (0.7 if speaks else 1.0)
            is_speech[place] = speaks
        return is_speech[np.arange(len(samples) // FRAME) * FRAME // WINDOW]

    return find


def found_by(method: str, samples: np.ndarray) -> Iterator[tuple[np.ndarray, bool]]:
    """The parts of a recording, and whether there is speech in them."""
    find = by_silero(float(method.partition("-")[2])) if method.startswith("silero-") else by_energy
    of_all = find(samples) if method not in ("all", "level") else np.zeros(0, bool)
    position = 0
    for piece in cut([samples]):
        if method == "all":
            yield piece, True
        elif method == "level":
            yield from without_pauses(piece)
        else:
            frames = np.flatnonzero(of_all[position // FRAME :][: len(piece) // FRAME])
            yield from parts(piece, frames, FRAME, LONG_PAUSE, PAUSE_MARGIN)
        position += len(piece)


class Lesson:
    """The utterances of a speaker, one behind the other."""

    def __init__(self, recogniser: Recogniser, utterances: dict[str, np.ndarray], texts: dict[str, str]) -> None:
        random = np.random.default_rng(1)
        self.words: list[str] = []
        spans: list[tuple[int, int]] = []  # samples of the words
        signal: list[np.ndarray] = []
        position = 0
        for name, samples in utterances.items():
            try:
                aligned = recogniser.align(samples, texts[name], RATE)
            except TextError as error:
                print(f"voice_activity.py: {name} is left out: {error}", file=sys.stderr)
                continue
            pause = np.zeros(int(random.uniform(*PAUSES) * RATE), np.float32)
            position += len(pause)
            spans += [(position + int(word.start * RATE), position + int(word.end * RATE)) for word in aligned.words]
            signal += [pause, samples]
            position += len(samples)
            self.words += texts[name].split()
        self.samples = np.concatenate(signal)
        self.is_speech, is_near = np.zeros(position, bool), np.zeros(position, bool)
        for (start, end), (following, _) in zip(spans, [*spans[1:], (position + RATE, 0)], strict=True):
            self.is_speech[start:end] = True
            is_near[start : following if following - end < WITHIN * RATE else end] = True
        self.is_pause = ~is_near

    def in_noise(self, noises: list[Path], snr: float) -> np.ndarray:
        """With noises one behind the other, each as loud."""
        random = np.random.default_rng(2)
        heard: list[np.ndarray] = []
        while sum(map(len, heard)) < len(self.samples):
            noise = read_audio(str(noises[random.integers(len(noises))]))
            if noise.any():
                heard.append(noise / np.sqrt(np.mean(noise**2)))
        background = np.concatenate(heard)[: len(self.samples)]
        both = self.samples + background * np.sqrt(active_power(self.samples) / 10 ** (snr / 10))
        return (both / max(1.0, np.abs(both).max())).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speakers", type=int, default=6)
    parser.add_argument("--snrs", default="40,25,15,5")
    parser.add_argument("--methods", default="all,level,energy,silero-0.5,silero-0.1")
    parser.add_argument("model", type=Path)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("noise_dir", type=Path)
    arguments = parser.parse_args()
    recogniser = Recogniser(arguments.model)
    utterances, texts = list_utterances(arguments.data_dir), read_scp(arguments.data_dir / "text")
    noises = sorted(arguments.noise_dir.glob("*.wav"))
    lessons = [
        Lesson(recogniser, {name: utterances[name].read() for name in names.split()}, texts)
        for names in list(read_scp(arguments.data_dir / "spk2utt").values())[: arguments.speakers]
    ]
    seconds = sum(len(lesson.samples) for lesson in lessons) / RATE
    print(f"{len(lessons)} recordings, {seconds:.0f} s, {sum(len(lesson.words) for lesson in lessons)} words\n")
    print("| SNR | | speech lost | pauses kept | word errors | processor time |\n|---|---|---|---|---|---|")
    for snr in arguments.snrs.split(","):
        for method in arguments.methods.split(","):
            lost = kept = errors = 0
            spent = 0.0
            for lesson in lessons:
                noisy = lesson.in_noise(noises, float(snr))
                began = time.process_time()
                speaker = recogniser.speaker()
                position = 0
                for part, is_spoken in found_by(method, noisy):
                    here = slice(position, position + len(part))
                    position += len(part)
                    if is_spoken:
                        speaker.add(part, RATE)
                        kept += np.count_nonzero(lesson.is_pause[here])
                    else:
                        lost += np.count_nonzero(lesson.is_speech[here])
                heard = [word.text for found in speaker.transcribe() for word in found.words]
                spent += time.process_time() - began
                errors += sum(said != word for said, word in align(lesson.words, heard, ""))
            speech = sum(np.count_nonzero(lesson.is_speech) for lesson in lessons)
            pauses = sum(np.count_nonzero(lesson.is_pause) for lesson in lessons)
            words = sum(len(lesson.words) for lesson in lessons)
            shares = f"{100 * lost / speech:.2f} % | {100 * kept / pauses:.0f} % | {100 * errors / words:.1f} %"
            print(f"| {snr} dB | {method} | {shares} | {spent:.0f} s |", flush=True)


if __name__ == "__main__":
    main()
