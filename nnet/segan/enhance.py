"""Send recordings through a trained SEGAN: a file, a folder (its tree is kept) or a Kaldi data directory."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kaldi.base.log import KaldiError
from local.audio import AudioError, Resampler, WavWriter, archive_of_wavs, open_audio, read_blocks, read_scp, resample
from local.whole_file import write_file
from nnet.segan.config import load_config
from nnet.segan.log import log, stop_on_errors
from nnet.segan.recordings import find_recordings, is_data_dir

if TYPE_CHECKING:
    from nnet.segan.classifier import Classifier
    from nnet.segan.enhancer import Enhancer

BLOCK = 1 << 18  # samples of a recording that are read at once
JUDGED_SECONDS = 60.0  # of a recording, which tell whether it is noisy


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="enhance", description=__doc__)
    parser.add_argument("model", type=Path, help="directory that the SEGAN was trained into")
    parser.add_argument("source", type=Path, help="audio file, folder, Kaldi data directory, or wav.scp")
    parser.add_argument("target", type=Path, help="directory to write into")
    parser.add_argument("--dry", type=float, help="part of the input mixed in, 0 to 1 (default: as trained)")
    parser.add_argument(
        "--gate",
        type=float,
        help="leave recordings as they are that classify holds for noisy with a lower probability than this, 0 to 1",
    )
    parser.add_argument("--draw", type=int, default=0, help="another number draws another z (default 0)")
    parser.add_argument(
        "--archive",
        type=Path,
        metavar="FILE.ark",
        help="gather the enhanced recordings of a data directory there, and where each lies in FILE.scp",
    )
    parser.add_argument("--strict", action="store_true", help="status 1 if a recording cannot be read, not only if all")
    parser.add_argument("--use-gpu", choices=("auto", "true", "false"), default="auto")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: all cores)")
    arguments = parser.parse_args()
    for name in ("dry", "gate"):
        if getattr(arguments, name) is not None and not 0 <= getattr(arguments, name) <= 1:
            parser.error(f"--{name}: between 0 and 1")
    if arguments.archive and arguments.archive.suffix != ".ark":
        parser.error(f"--archive: {arguments.archive} does not end in .ark")
    return arguments


class Recording:
    """A recording that is read, enhanced and written block by block.

    One `as_given` comes back with its rate, its channels, each a signal of its own, and its sample format; otherwise it
    is brought to the model's rate and one channel, as everywhere in the recipe.
    """

    def __init__(self, name: str, source: str | Path, target: Path, rate: int, dry: float, as_given: bool) -> None:
        self.name, self.target, self._source, self._rate, self._dry = name, target, source, rate, dry
        self._as_given = as_given
        self.names: list[str] = [name]
        self._given: deque[np.ndarray] = deque()  # samples that were read and whose enhanced ones are to come
        self._stack = contextlib.ExitStack()
        self.error: AudioError | None = None
        self.seconds = 0.0

    def open(self) -> Recording:
        """Read the header. Raises OSError if the result cannot be written; a fault of the recording is its `error`."""
        try:
            self._file = self._stack.enter_context(open_audio(self._source))
        except AudioError as error:
            self.error = error
        else:
            own = self._file.samplerate
            self._out_rate = own if self._as_given else self._rate
            if self._as_given:
                self.names = [f"{self.name}#{channel}" for channel in range(self._file.channels)]
            self._back = Resampler(self._rate, self._out_rate, len(self.names))
            frames = math.ceil(self._file.frames * self._out_rate / own)
            subtype = self._file.subtype if self._as_given else "PCM_16"
            self._writer = WavWriter(self.target, self._out_rate, len(self.names), frames, subtype)
            self._stack.callback(self._writer.abandon)
        return self

    def beginning(self, seconds: float) -> np.ndarray:
        """The first samples at the model's rate, mean of the channels. Raises AudioError."""
        with open_audio(self._source) as file:
            block = next(read_blocks(file, self._source, round(seconds * file.samplerate)))
            return resample(block.mean(1), file.samplerate, self._rate)

    def leave_alone(self) -> None:
        """Write it as it was given."""
        self._dry = 1.0

    def blocks(self) -> Iterator[np.ndarray]:
        """Samples at the model's rate, (samples, channels). What cannot be read ends them and stands in `error`."""
        if self.error:
            return
        first = Resampler(self._file.samplerate, self._out_rate, len(self.names))
        second = Resampler(self._out_rate, self._rate, len(self.names))
        try:
            for block in read_blocks(self._file, self._source, BLOCK):
                yield second.push(self._keep(first.push(block if self._as_given else block.mean(1, keepdims=True))))
            yield second.push(self._keep(first.finish()))
            yield second.finish()
        except AudioError as error:
            self.error = error

    def _keep(self, samples: np.ndarray) -> np.ndarray:
        self._given.append(samples)
        return samples

    def write(self, enhanced: np.ndarray, last: bool) -> None:
        """Mix enhanced samples with the given ones and write them. Raises OSError; with the last, the `error`."""
        if not self.error:
            self._write(self._back.push(enhanced))
        if not last:
            return
        if not self.error:
            self._write(self._back.finish())
            self._writer.finish()
        self.close()
        if self.error:
            raise self.error

    def _write(self, enhanced: np.ndarray) -> None:
        while len(enhanced) and self._given:  # resampling there and back may end in some more samples
            given = self._given.popleft()
            count = min(len(given), len(enhanced))
            if count < len(given):
                self._given.appendleft(given[count:])
            mixed = (1 - self._dry) * enhanced[:count] + self._dry * given[:count]
            self._writer.write(mixed if self._writer.subtype in ("FLOAT", "DOUBLE") else np.clip(mixed, -1.0, 1.0))
            self.seconds += count / self._out_rate
            enhanced = enhanced[count:]

    def close(self) -> None:
        """Close what is open; what is not finished is not kept."""
        self._stack.close()


def find_files(source: Path, target: Path, rate: int, dry: float) -> list[Recording]:
    """An audio file, or those of a folder, whose tree is kept."""
    if source.is_file():
        sources = {source.name: source}
    else:
        sources = {name: Path(recording.recording) for name, recording in find_recordings(source).items()}
    targets = {name: (target / name).with_suffix(".wav") for name in sources}
    check_targets(targets, sources)
    return [Recording(name, sources[name], targets[name], rate, dry, as_given=True) for name in sources]


def find_in_scp(scp: Path, target: Path, rate: int, dry: float) -> list[Recording]:
    """The recordings of a wav.scp."""
    sources = read_scp(scp)
    targets = {name: target / f"{name}.wav" for name in sources}
    check_targets(targets, sources)
    return [Recording(name, sources[name], targets[name], rate, dry, as_given=False) for name in sources]


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


def find_source(source: Path, target: Path, rate: int, dry: float) -> list[Recording]:
    """What is to be enhanced. Raises ValueError."""
    if source.name.endswith(".scp"):
        return find_in_scp(source, target, rate, dry)
    if is_data_dir(source):
        return find_in_scp(source / "wav.scp", target, rate, dry)
    if not source.exists():
        raise ValueError(f"{source}: no such file or directory")
    return find_files(source, target, rate, dry)


def leave_clean_alone(recordings: Iterable[Recording], classifier: Classifier, gate: float) -> Iterator[Recording]:
    """Recordings, of which those whose beginning is noisy with a probability below `gate` are left alone."""
    for recording in recordings:
        if not recording.error:
            try:
                if classifier.noisy_probabilities(recording.beginning(JUDGED_SECONDS)).mean() < gate:
                    recording.leave_alone()
            except AudioError as error:
                recording.error = error
        yield recording


def enhance(
    enhancer: Enhancer,
    recordings: list[Recording],
    draw: int = 0,
    strict: bool = False,
    classifier: Classifier | None = None,
    gate: float = 0.0,
    archive: Path | None = None,
) -> None:
    """Enhance and write all recordings (but for clean ones, if there is a classifier), and log the real-time factor.

    archive: where the finished files are gathered. One that cannot be read is named and left out; AudioError at the
    end if all are such, or one where that is too many.
    """
    began, bad, places = time.monotonic(), [], []
    with contextlib.ExitStack() as stack:
        append = stack.enter_context(archive_of_wavs(archive)) if archive else None
        for recording in recordings:
            stack.callback(recording.close)
        opened: Iterator[Recording] = (recording.open() for recording in recordings)
        if classifier:
            opened = leave_clean_alone(opened, classifier, gate)
        for recording, enhanced, last in enhancer.stream(opened, draw):
            try:
                recording.write(enhanced, last)
            except AudioError as error:
                bad.append(str(error))
                log.warning("left out: %s", error)
            else:
                if append and last:
                    places.append(f"{recording.name} {append(recording.name, recording.target.read_bytes())}\n")
                    recording.target.unlink()
    if archive:
        write_file(archive.with_suffix(".scp"), "".join(places))
    if bad and (strict or len(bad) == len(recordings)):
        raise AudioError(f"{len(bad)} of {len(recordings)} recordings cannot be enhanced: {'; '.join(bad[:3])}")
    spent, seconds = time.monotonic() - began, sum(recording.seconds for recording in recordings)
    log.info("%.1f s of audio in %.1f s, real-time factor %.4f", seconds, spent, spent / max(seconds, 1e-9))


@stop_on_errors(ValueError, AudioError, KaldiError, OSError)
def main() -> None:
    arguments = parse_arguments()
    config = load_config(arguments.model)
    dry = config.dry if arguments.dry is None else arguments.dry
    recordings = find_source(arguments.source, arguments.target, config.rate, dry)

    from nnet.segan.device import choose_strategy
    from nnet.segan.enhancer import load_enhancer

    choose_strategy(arguments.use_gpu, arguments.threads)
    enhancer = load_enhancer(config, arguments.model / "generator")
    classifier, gate = None, arguments.gate or 0.0
    if gate:
        from nnet.segan.classifier import load_classifier

        classifier = load_classifier(arguments.model)
    enhance(enhancer, recordings, arguments.draw, arguments.strict, classifier, gate, arguments.archive)


if __name__ == "__main__":
    sys.exit(main())
