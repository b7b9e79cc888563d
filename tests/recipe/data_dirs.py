"""Small helpers of the data tests: run a program of the recipe, write recordings and Kaldi data directories."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path) -> subprocess.CompletedProcess:
    """Run a command in the root of the repository with the Python of the tests first on the path."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def assert_fails_in_one_line(done: subprocess.CompletedProcess, *words: str) -> None:
    """The program failed, its last line on stderr names all the words, and it shows no traceback."""
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    for word in words:
        assert word in last


def speech_like(seconds: float, rate: int = 16000, seed: int = 0) -> np.ndarray:
    """Noise in bursts of a quarter of a second, with pauses as long between them."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    return 0.1 * rng.normal(size=len(time)).clip(-3, 3) * (time % 0.5 < 0.25)


def write_data_dir(folder: Path, texts: dict[str, str], speaker: str = "s1") -> Path:
    """A Kaldi data directory of one speaker with a recording of a second for each transcript."""
    folder.mkdir(parents=True)
    for number, utterance in enumerate(texts):
        soundfile.write(folder / f"{utterance}.wav", speech_like(1, seed=number), 16000, subtype="PCM_16")
    (folder / "wav.scp").write_text("".join(f"{name} {folder / name}.wav\n" for name in texts))
    (folder / "text").write_text("".join(f"{name} {words}\n" for name, words in texts.items()))
    (folder / "utt2spk").write_text("".join(f"{name} {speaker}\n" for name in texts))
    (folder / "spk2utt").write_text(f"{speaker} {' '.join(texts)}\n")
    return folder
