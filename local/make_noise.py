#!/usr/bin/env python3
"""Make synthetic noises of places where children speak: babble, classroom, doors, toys, hum and coloured noise.

Writes <noise-dir>/<kind><n>.wav, 16 kHz mono. The talkers of the babble are synthetic children as well, but none of the
mini corpus. The same seed gives the same bytes. A finished folder is left as it is.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.signal import fftconvolve, lfilter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from local.audio import RATE, write_audio
from local.synthetic_child import draw_speaker, open_voice, speak

# What the talkers say: nursery rhymes, in no order.
RHYMES = [
    "twinkle twinkle little star how i wonder what you are",
    "mary had a little lamb its fleece was white as snow",
    "row row row your boat gently down the stream",
    "jack and jill went up the hill to fetch a pail of water",
    "humpty dumpty sat on a wall humpty dumpty had a great fall",
    "one two buckle my shoe three four knock at the door",
    "the wheels on the bus go round and round all through the town",
    "hickory dickory dock the mouse ran up the clock",
]


def monologue(task: tuple[list[int], float]) -> np.ndarray:
    """One synthetic child reciting for some seconds. Runs in a process of its own: espeak-ng keeps global state."""
    seed, seconds = task
    rng = np.random.default_rng(seed)
    speaker = draw_speaker(rng)
    wanted = round(seconds * RATE)
    parts: list[np.ndarray] = []
    with open_voice(speaker) as voice:
        while sum(map(len, parts)) < wanted:
            parts.append(speak(voice, speaker, RHYMES[rng.integers(len(RHYMES))].split(), rng))
    return np.concatenate(parts)[:wanted]


def mix(talkers: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """The sum of talkers at different distances."""
    return sum(talker / np.sqrt(np.mean(talker**2)) * 10 ** (rng.uniform(-8, 0) / 20) for talker in talkers)


def coloured(rng: np.random.Generator, samples: int, exponent: float) -> np.ndarray:
    """Gaussian noise of power 1 whose spectral density falls as 1/f^exponent: 0 is white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.normal(size=samples))
    frequencies = np.fft.rfftfreq(samples, 1 / RATE)
    spectrum *= np.maximum(frequencies, 20.0) ** (-exponent / 2)
    noise = np.fft.irfft(spectrum, samples)
    return noise / np.sqrt(np.mean(noise**2))


def reverberate(dry: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sound in a room, by an exponentially decaying random response with a reverberation time of 0.4 to 0.9 s."""
    time = np.arange(RATE) / RATE
    response = rng.normal(size=len(time)) * np.exp(-6.9 * time / rng.uniform(0.4, 0.9))
    return fftconvolve(dry, response)[: len(dry)] / np.sqrt(np.sum(response**2))


def scatter(event: Callable, gap: tuple[float, float], samples: int, rng: np.random.Generator) -> np.ndarray:
    """Sounds that event(rng) makes, one after the other, with gaps drawn between two lengths in seconds."""
    noise = np.zeros(samples)
    position = 0
    while position < samples:
        sound = event(rng)[: samples - position]
        noise[position : position + len(sound)] += sound
        position += round(rng.uniform(*gap) * RATE)
    return noise


def slam(rng: np.random.Generator) -> np.ndarray:
    """A door: a click, then a dull thud that dies away within half a second."""
    time = np.arange(RATE // 2) / RATE
    rumble = lfilter([1], [1, -rng.uniform(0.9, 0.98)], rng.normal(size=len(time)))
    thud = rumble * np.exp(-time / rng.uniform(0.04, 0.12))
    tone = np.sin(2 * np.pi * rng.uniform(60, 160) * time) * np.exp(-time / 0.08)
    click = rng.normal(size=len(time)) * np.exp(-time / 0.004)
    return rng.uniform(0.3, 1) * (thud / np.abs(thud).max() + tone + 0.5 * click)


def clank(rng: np.random.Generator) -> np.ndarray:
    """A toy that falls: a few damped resonances."""
    time = np.arange(RATE // 4) / RATE
    partials = (
        rng.uniform(0.2, 1) * np.sin(2 * np.pi * frequency * time) * np.exp(-time / rng.uniform(0.01, 0.06))
        for frequency in rng.uniform(400, 6000, size=6)
    )
    return rng.uniform(0.2, 1) * sum(partials)


def babble(rng: np.random.Generator, talkers: list[np.ndarray]) -> np.ndarray:
    return mix(talkers, rng)


def classroom(rng: np.random.Generator, talkers: list[np.ndarray]) -> np.ndarray:
    samples = len(talkers[0])
    sounds = mix(talkers, rng) + 4 * scatter(slam, (1, 6), samples, rng)
    return reverberate(sounds, rng) + 0.1 * coloured(rng, samples, 1)


def door(rng: np.random.Generator, samples: int) -> np.ndarray:
    return reverberate(scatter(slam, (0.4, 2), samples, rng), rng) + 0.01 * coloured(rng, samples, 1)


def toys(rng: np.random.Generator, samples: int) -> np.ndarray:
    return scatter(clank, (0.05, 0.6), samples, rng) + 0.01 * coloured(rng, samples, 1)


def hum(rng: np.random.Generator, samples: int) -> np.ndarray:
    """A machine: harmonics of a mains or motor frequency that swell slowly, and a fan."""
    time = np.arange(samples) / RATE
    frequency = rng.choice([50, 60, rng.uniform(90, 240)])
    harmonics = sum(
        rng.uniform(0, 1) / n * np.sin(2 * np.pi * (n * frequency * time + rng.random())) for n in range(1, 20)
    )
    swell = 1 + 0.4 * np.sin(2 * np.pi * rng.uniform(0.1, 1) * time)
    return harmonics * swell + 0.3 * coloured(rng, samples, 1)


def colour(rng: np.random.Generator, samples: int) -> np.ndarray:
    return coloured(rng, samples, rng.uniform(0, 2))


TALKING = {"babble": (babble, 8), "classroom": (classroom, 4)}  # with the number of talkers
SOUNDING = {"colour": colour, "door": door, "hum": hum, "toys": toys}


def write_noise(path: Path, noise: np.ndarray) -> None:
    write_audio(path, noise * min(0.1 / np.sqrt(np.mean(noise**2)), 0.95 / np.abs(noise).max()))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5, help="files of each kind (default 5)")
    parser.add_argument("--seconds", type=float, default=40, help="length of each file (default 40)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nj", type=int, default=2, help="processes")
    parser.add_argument("noise_dir", type=Path)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    done = arguments.noise_dir / "done"
    current = f"files {arguments.files} seconds {arguments.seconds} seed {arguments.seed}\n"
    if done.exists() and done.read_text() == current:
        return
    arguments.noise_dir.mkdir(parents=True, exist_ok=True)
    done.unlink(missing_ok=True)
    samples = round(arguments.seconds * RATE)
    with multiprocessing.Pool(arguments.nj, maxtasksperchild=1) as pool:
        for number in range(1, arguments.files + 1):
            for index, (kind, (make, count)) in enumerate(TALKING.items()):
                seeds = [[arguments.seed, 1, index, number, talker] for talker in range(count)]
                talkers = pool.map(monologue, [(seed, arguments.seconds) for seed in seeds], chunksize=1)
                rng = np.random.default_rng([arguments.seed, 2, index, number])
                write_noise(arguments.noise_dir / f"{kind}{number:02d}.wav", make(rng, talkers))
    for number in range(1, arguments.files + 1):
        for index, (kind, sound) in enumerate(SOUNDING.items()):
            rng = np.random.default_rng([arguments.seed, 3, index, number])
            write_noise(arguments.noise_dir / f"{kind}{number:02d}.wav", sound(rng, samples))
    done.write_text(current)


if __name__ == "__main__":
    try:
        main()
    except (OSError, RuntimeError) as failure:
        sys.exit(f"make_noise.py: {failure}")
