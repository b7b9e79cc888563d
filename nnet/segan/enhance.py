"""Send recordings through a trained SEGAN: a file, a folder (its tree is kept) or a Kaldi data directory."""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from local.audio import AudioError, check_samples, read_audio, read_scp, resample, write_audio
from local.whole_file import write_file
from nnet.segan.config import load_config
from nnet.segan.log import log, stop_on_errors
from nnet.segan.recordings import find_recordings

if TYPE_CHECKING:
    from nnet.segan.enhancer import Enhancer


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="enhance", description=__doc__)
    parser.add_argument("model", type=Path, help="directory that the SEGAN was trained into")
    parser.add_argument("source", type=Path, help="audio file, folder, Kaldi data directory, or wav.scp")
    parser.add_argument("target", type=Path, help="directory to write into")
    parser.add_argument("--dry", type=float, help="part of the input mixed in, 0 to 1 (default: as trained)")
    parser.add_argument("--draw", type=int, default=0, help="another number draws another z (default 0)")
    parser.add_argument("--use-gpu", choices=("auto", "true", "false"), default="auto")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: all cores)")
    arguments = parser.parse_args()
    if arguments.dry is not None and not 0 <= arguments.dry <= 1:
        parser.error("--dry: between 0 and 1")
    return arguments


class Files:
    """Audio files, whatever their rate and channels: each channel is one signal, and the files come back alike."""

    def __init__(self, source: Path, target: Path, rate: int) -> None:
        self._rate = rate
        if source.is_file():
            self._paths = {source.name: source}
        else:
            self._paths = {name: Path(recording.recording) for name, recording in find_recordings(source).items()}
        self._targets = {name: (target / name).with_suffix(".wav") for name in self._paths}
        check_targets(self._targets, self._paths)
        self._open: dict[str, tuple[np.ndarray, int]] = {}
        self._channels: dict[str, list[np.ndarray]] = {}

    def signals(self) -> Iterator[tuple[str, np.ndarray]]:
        for name, path in self._paths.items():
            try:
                samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
            except (soundfile.SoundFileError, OSError) as error:
                raise AudioError(f"recording is not audio that soundfile reads: {path} ({error})") from None
            check_samples(samples, path)
            self._open[name] = samples, rate
            for channel in range(samples.shape[1]):
                yield f"{name}#{channel}", resample(samples[:, channel], rate, self._rate)

    def write(self, key: str, enhanced: np.ndarray, dry: float) -> float:
        """Collect the channels of a file and write it with the last one; returns the seconds written."""
        name = key.rsplit("#", 1)[0]
        samples, rate = self._open[name]
        done = self._channels.setdefault(name, [])
        done.append(resample(enhanced, self._rate, rate)[: len(samples)])
        if len(done) < samples.shape[1]:
            return 0.0
        mixed = np.clip((1 - dry) * np.stack(done, 1) + dry * samples, -1.0, 1.0)
        path = self._targets[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        soundfile.write(content, mixed, rate, format="WAV", subtype="PCM_16")
        write_file(path, content.getvalue())
        del self._open[name], self._channels[name]
        return len(samples) / rate


class Scp:
    """The recordings of a wav.scp, brought to the model's rate and one channel as everywhere in the recipe."""

    def __init__(self, scp: Path, target: Path, rate: int) -> None:
        self._sources, self._rate = read_scp(scp), rate
        self._targets = {name: target / f"{name}.wav" for name in self._sources}
        check_targets(self._targets, self._sources)
        self._given: dict[str, np.ndarray] = {}

    def signals(self) -> Iterator[tuple[str, np.ndarray]]:
        for name, source in self._sources.items():
            self._given[name] = read_audio(source, self._rate)
            yield name, self._given[name]

    def write(self, name: str, enhanced: np.ndarray, dry: float) -> float:
        path, given = self._targets[name], self._given.pop(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_audio(path, np.clip((1 - dry) * enhanced + dry * given, -1.0, 1.0), self._rate)
        return len(given) / self._rate


def check_targets(targets: Mapping[str, Path], sources: Mapping[str, str | Path]) -> None:
    """ValueError if a recording would be written over another one or over a source."""
    originals = {Path(source).resolve(): name for name, source in sources.items()}
    written: dict[Path, str] = {}
    for name, path in targets.items():
        if path.resolve() in originals:
            raise ValueError(f"{path} is the recording {originals[path.resolve()]} itself: choose another directory")
        if path in written:
            raise ValueError(f"{name} and {written[path]} would both become {path}: rename one of them")
        written[path] = name


def open_source(source: Path, target: Path, rate: int) -> Files | Scp:
    if source.name.endswith(".scp"):
        return Scp(source, target, rate)
    if (source / "wav.scp").is_file():
        return Scp(source / "wav.scp", target, rate)
    if not source.exists():
        raise ValueError(f"{source}: no such file or directory")
    return Files(source, target, rate)


def enhance(enhancer: Enhancer, recordings: Files | Scp, dry: float, draw: int = 0) -> None:
    """Enhance and write all recordings, and log the real-time factor."""
    began, seconds = time.monotonic(), 0.0
    for name, enhanced in enhancer(recordings.signals(), draw):
        seconds += recordings.write(name, enhanced, dry)
    spent = time.monotonic() - began
    log.info("%.1f s of audio in %.1f s, real-time factor %.4f", seconds, spent, spent / max(seconds, 1e-9))


@stop_on_errors(ValueError, AudioError, OSError)
def main() -> None:
    arguments = parse_arguments()
    config = load_config(arguments.model)
    recordings = open_source(arguments.source, arguments.target, config.rate)

    from nnet.segan.device import choose_strategy
    from nnet.segan.enhancer import load_enhancer

    choose_strategy(arguments.use_gpu, arguments.threads)
    dry = config.dry if arguments.dry is None else arguments.dry
    enhance(load_enhancer(config, arguments.model / "generator"), recordings, dry, arguments.draw)


if __name__ == "__main__":
    sys.exit(main())
