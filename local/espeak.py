"""espeak-ng through ctypes: text in, 16-bit samples out.

The shared library and its data come with the pip package espeakng-loader, so nothing needs to be installed as root.
espeak-ng keeps global state: open one synthesiser per process, and give each speaker a fresh process where the same
text must always give the same samples.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

import espeakng_loader
import numpy as np

# Values of espeak-ng's speak_lib.h.
AUDIO_OUTPUT_SYNCHRONOUS = 2
CHARS_UTF8 = 1
SSML = 0x10
PARAMETER_RATE = 1
PARAMETER_PITCH = 3
PARAMETER_RANGE = 4

SYNTH_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True)
class Delivery:
    """How an utterance is spoken: words per minute, pitch and its range (0 to 100, 50 is the voice's own)."""

    rate: int = 175
    pitch: int = 50
    pitch_range: int = 50


class Espeak:
    """A synthesiser that speaks with one voice, defined by the text of an espeak-ng voice variant.

    work_dir is an empty folder of the caller's with a short path (espeak-ng cuts it at 160 characters): it gets links
    to espeak-ng's data, and the voice beside them.
    """

    def __init__(self, language: str, variant: str, work_dir: Path) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._chunks: list[np.ndarray] = []
        self._callback = SYNTH_CALLBACK(self._receive)
        data_dir = _data_dir_with_voice(work_dir, variant)
        self.sample_rate = int(
            self._library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, str(data_dir.parent).encode(), 0)
        )
        if self.sample_rate <= 0:
            raise RuntimeError(f"espeak-ng does not start with the data in {data_dir}")
        self._library.espeak_SetSynthCallback(self._callback)
        if self._library.espeak_SetVoiceByName(f"{language}+speaker".encode()) != 0:
            raise RuntimeError(f"espeak-ng has no voice {language}")

    def _receive(self, samples, count: int, events) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def speak(self, ssml: str, delivery: Delivery) -> np.ndarray:
        """The samples (int16, at self.sample_rate) of a text, which may hold SSML such as <break time="200ms"/>."""
        for parameter, value in (
            (PARAMETER_RATE, delivery.rate),
            (PARAMETER_PITCH, delivery.pitch),
            (PARAMETER_RANGE, delivery.pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._chunks.clear()
        text = ssml.encode()
        status = self._library.espeak_Synth(
            text, ctypes.c_size_t(len(text) + 1), 0, 0, 0, CHARS_UTF8 | SSML, None, None
        )
        self._library.espeak_Synchronize()
        if status != 0 or not self._chunks:
            raise RuntimeError(f"espeak-ng cannot speak: {ssml}")
        return np.concatenate(self._chunks)


def _data_dir_with_voice(work_dir: Path, variant: str) -> Path:
    source = Path(espeakng_loader.get_data_path())
    target = work_dir / "espeak-ng-data"
    variants = target / "voices" / "!v"
    variants.mkdir(parents=True)
    for entry in source.iterdir():
        if entry.name != "voices":
            (target / entry.name).symlink_to(entry)
    (variants / "speaker").write_text(variant)
    return target
