"""Synthetic children: random voices for espeak-ng, and utterances spoken with them.

What makes a voice a child's is a high pitch, slow and uneven speech, and a short vocal tract: the voice is synthesised
slower and lower than wanted, then its sampling rate is raised, which moves all formants up. Tract length, pitch and
rate follow the age, roughly as in Lee, Potamianos and Narayanan (1999), "Acoustics of children's speech".
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from local.audio import RATE
from local.espeak import Delivery, Espeak

ACCENTS = ["en-us", "en-us", "en-us", "en-us", "en-us-nyc", "en", "en-gb-x-rp", "en-gb-scotland"]
# Sampling rate 22050 * k / 441 to 16000 Hz is a resampling by 320 / k: k sets the vocal-tract length.
RESAMPLE_UP, RESAMPLE_DOWN = 320, 441


# How young children say words, spelled for espeak-ng: gliding of r and l, fronting of k, g and th, clusters reduced.
CHILD_FORMS = {
    "three": "fwee", "thirty": "firty", "thirteen": "firteen", "red": "wed", "right": "white", "green": "gween",
    "brown": "bwown", "bring": "bwing", "left": "weft", "black": "back", "blue": "bwoo", "please": "peas",
    "stop": "top", "cat": "tat", "car": "tar", "cup": "tup", "go": "doe", "close": "cose", "zero": "zewo",
    "six": "sit", "box": "bot", "the": "duh", "fifty": "fitty", "turn": "tun", "bird": "bud", "put": "pup",
}  # fmt: skip


@dataclass(frozen=True)
class Speaker:
    """A synthetic child: age in years, formants `stretch` times an adult man's, rate in words a minute, levels dB."""

    age: float
    accent: str
    variant: str
    stretch: float
    rate: float
    pause_probability: float
    child_form_probability: float
    level: float
    floor: float


def draw_speaker(rng: np.random.Generator) -> Speaker:
    """A random child of 5 to 12 years."""
    age = rng.uniform(5, 12)
    stretch = round(RESAMPLE_DOWN * np.clip(1.47 - 0.03 * (age - 5) + rng.normal(0, 0.07), 1.1, 1.7)) / RESAMPLE_DOWN
    pitch = np.clip(330 - 11 * (age - 5) + rng.normal(0, 18), 200, 400)
    formants = "".join(
        f"formant {n} {round(100 * rng.normal(1, 0.09))} {rng.integers(75, 126)} {rng.integers(85, 131)}\n"
        for n in range(1, 6)
    )
    variant = (
        "language variant\nname speaker\n"
        f"pitch {round(0.85 * pitch / stretch)} {round(rng.uniform(1.1, 1.4) * pitch / stretch)}\n"
        f"{formants}"
        f"flutter {rng.integers(2, 10)}\nroughness {rng.integers(0, 4)}\n"
        f"voicing {rng.integers(70, 111)}\nconsonants {rng.integers(70, 131)} {rng.integers(70, 131)}\n"
    )
    return Speaker(
        age=age,
        accent=ACCENTS[rng.integers(len(ACCENTS))],
        variant=variant,
        stretch=stretch,
        rate=np.clip(135 + 7 * (age - 5) + rng.normal(0, 12), 115, 210),
        pause_probability=rng.uniform(0.02, 0.15),
        child_form_probability=rng.uniform(0, 0.06) * (12 - age),
        level=rng.uniform(-34, -22),
        floor=rng.uniform(-62, -48),
    )


@contextmanager
def open_voice(speaker: Speaker) -> Iterator[Espeak]:
    """espeak-ng with the speaker's voice; once a process, since espeak-ng keeps global state."""
    with tempfile.TemporaryDirectory(prefix="espeak") as work_dir:
        yield Espeak(speaker.accent, speaker.variant, Path(work_dir))


def speak(voice: Espeak, speaker: Speaker, words: list[str], rng: np.random.Generator) -> np.ndarray:
    """One utterance as samples in [-1, 1] at RATE: hesitations, silence around it, the floor of a microphone."""
    ssml = ""
    for number, word in enumerate(word.lower() for word in words):
        if number > 0 and rng.random() < speaker.pause_probability:
            ssml += f'<break time="{rng.integers(80, 400)}ms"/> '
        ssml += (CHILD_FORMS.get(word, word) if rng.random() < speaker.child_form_probability else word) + " "
    delivery = Delivery(
        rate=max(80, round(speaker.rate * rng.uniform(0.8, 1.5) / speaker.stretch)),
        pitch=int(rng.integers(35, 66)),
        pitch_range=int(rng.integers(25, 85)),
    )
    spoken = voice.speak(ssml, delivery).astype(np.float64) / 32768
    spoken = resample_poly(spoken, RESAMPLE_UP, round(RESAMPLE_DOWN * speaker.stretch))
    spoken *= 10 ** ((speaker.level + rng.normal(0, 2.5)) / 20) / np.sqrt(np.mean(spoken**2))
    before, after = rng.integers(RATE // 10, RATE // 3, size=2)
    utterance = np.pad(spoken, (before, after))
    utterance += rng.normal(0, 10 ** (speaker.floor / 20), len(utterance))
    return utterance * min(1.0, 0.95 / np.abs(utterance).max())
