"""Recordings to words, with a packed model: python -m nnet.recogniser --help."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnet.recogniser import Recogniser, Transcription
    from nnet.recogniser.recordings import Recordings

DESCRIPTION = """Prints a line for each recording: its name without the ending (blanks as _), and the words.
<model> is a folder that local/pack_model.sh made. A recording is any file that libsndfile reads, or ffmpeg where it is
installed; a folder stands for all recordings in it, - for standard input (named stdin). Long ones are cut at pauses.
One that cannot be used is named with the reason, and the others are done; the status is 1 if there is none."""


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    from nnet.recogniser.formats import FORMATS, LINES

    parser = argparse.ArgumentParser(prog="python -m nnet.recogniser", description=DESCRIPTION)
    parser.add_argument(
        "--format",
        default="txt",
        metavar="F",
        help=f"of {', '.join(FORMATS)}; with --dir several with commas between (default: %(default)s)",
    )
    parser.add_argument(
        "--dir", type=Path, help="a file NAME.FORMAT for each recording and format, instead of printing"
    )
    parser.add_argument("--list", type=Path, help="more recordings: lines FILE or, as in Kaldi's wav.scp, NAME FILE")
    parser.add_argument("--channel", type=int, metavar="N", help="of several, from 0 (default: their mean)")
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="recordings, or pieces of a single one, at once"
    )
    parser.add_argument(
        "--one-speaker", action="store_true", help="all recordings are of one speaker, not each of its own"
    )
    parser.add_argument("--alternatives", type=int, default=0, metavar="N", help="so many word sequences, in JSON")
    parser.add_argument(
        "--align", type=Path, metavar="TEXT", help="align: a file of lines NAME WORD ... as Kaldi's text, by recordings"
    )
    parser.add_argument("--encoder", metavar="DIR", help="where the encoder of the features lies, if not in the model")
    parser.add_argument("--backend", choices=("onnxruntime", "pytorch"), help="default: the first that is installed")
    parser.add_argument("model", type=Path, metavar="<model>")
    parser.add_argument("recordings", nargs="*", metavar="<recording>")
    arguments = parser.parse_args(argv)
    arguments.formats = arguments.format.split(",")
    for name in arguments.formats:
        if name not in FORMATS:
            parser.error(f"--format {name}: one of {', '.join(FORMATS)}")
    if not arguments.dir and len(arguments.formats) > 1:
        parser.error("--format: several need --dir, to be written into files")
    single = len(arguments.recordings) == 1 and not arguments.list and not Path(arguments.recordings[0]).is_dir()
    if not arguments.dir and arguments.format not in LINES and not single:
        parser.error(f"--format {arguments.format}: of several recordings it needs --dir, to be written into files")
    if not arguments.recordings and not arguments.list:
        parser.error("no recordings are given")
    if arguments.align and (arguments.one_speaker or arguments.alternatives):
        parser.error("--align: not with --one-speaker or --alternatives")
    if arguments.alternatives < 0 or arguments.jobs < 1 or (arguments.channel or 0) < 0:
        parser.error("--alternatives and --channel: not negative; --jobs: at least 1")
    return arguments


def main(argv: list[str] | None = None) -> int:
    arguments = parse_args(argv)
    from nnet.recogniser import KaldiError, Recogniser
    from nnet.recogniser.recordings import find_recordings

    done = 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            recordings = find_recordings(arguments.recordings, arguments.list, Path(folder))
            recogniser = Recogniser(arguments.model, encoder=arguments.encoder, backend=arguments.backend)
            if arguments.dir:
                arguments.dir.mkdir(parents=True, exist_ok=True)
            work = _aligned if arguments.align else _transcribed
            with Progress(len(recordings)) as progress:
                for name, transcription in work(recogniser, recordings, arguments, progress):
                    progress.hide()
                    _put_out(arguments, name, transcription)
                    progress.advance(transcription.duration)
                    done += 1
    except (OSError, ValueError, KaldiError) as error:
        _complain(error)
        return 1
    return 0 if done else 1


class Progress:
    """A line on a terminal that says how many recordings are done."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._seconds = total, 0, 0.0
        self._is_shown = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        self._show()
        return self

    def __exit__(self, *_: object) -> None:
        self.hide()

    def advance(self, seconds: float = 0.0) -> None:
        """A recording of so many seconds is done."""
        self._done += 1
        self._seconds += seconds
        self._show()

    def hide(self) -> None:
        """Before something else is printed."""
        if self._is_shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def _show(self) -> None:
        if self._is_shown:
            said = f"{self._done} of {self._total} recordings, {self._seconds / 60:.1f} minutes"
            print(f"\r{said}", end="", file=sys.stderr, flush=True)


Found = Iterator[tuple[str, "Transcription"]]


def _transcribed(
    recogniser: Recogniser, recordings: Recordings, arguments: argparse.Namespace, progress: Progress
) -> Found:
    """What was said, of each recording that can be used."""
    from nnet.recogniser import AudioError
    from nnet.recogniser.parallel import in_order

    speakers = [recordings] if arguments.one_speaker else [[recording] for recording in recordings]

    def heard(of_speaker: Recordings) -> tuple[list[tuple[str, Transcription]], list[AudioError]]:
        """Also what is wrong with those that cannot be used."""
        speaker, names, problems = recogniser.speaker(), [], []
        for name, recording in of_speaker:
            try:
                speaker.add(recording, channel=arguments.channel)
                names.append(name)
            except AudioError as error:
                problems.append(error)
        jobs = arguments.jobs if len(speakers) == 1 else 1
        found = speaker.transcribe(alternatives=arguments.alternatives, jobs=jobs)
        return list(zip(names, found, strict=True)), problems

    for found, problems in in_order(heard, speakers, arguments.jobs if len(speakers) > 1 else 1):
        for problem in problems:
            _report(progress, problem)
        yield from found


def _aligned(
    recogniser: Recogniser, recordings: Recordings, arguments: argparse.Namespace, progress: Progress
) -> Found:
    """When each word of its text was said, of each recording that can be used and has a text that fits it."""
    from local.audio import read_scp
    from nnet.recogniser import AudioError, TextError
    from nnet.recogniser.parallel import in_order

    text_of = read_scp(arguments.align)

    def aligned(given: tuple[str, Path]) -> Transcription | Exception:
        name, recording = given
        try:
            if name not in text_of:
                raise TextError(f"no text in {arguments.align}")
            return recogniser.align(recording, text_of[name], channel=arguments.channel)
        except (TextError, AudioError) as error:
            return error

    found = in_order(aligned, recordings, arguments.jobs)
    for (name, _), one in zip(recordings, found, strict=True):
        if isinstance(one, Exception):
            _report(progress, f"{name}: {one}")
        else:
            yield name, one


def _report(progress: Progress, problem: Exception | str) -> None:
    """What is wrong with a recording; the others are done."""
    progress.hide()
    _complain(problem)
    progress.advance()


def _put_out(arguments: argparse.Namespace, name: str, transcription: Transcription) -> None:
    from local.whole_file import write_file
    from nnet.recogniser.formats import FORMATS

    for form in arguments.formats:
        content = FORMATS[form](name, transcription)
        if arguments.dir:
            write_file(arguments.dir / f"{name}.{form}", content)
        else:
            print(content, end="", flush=True)


def _complain(error: Exception | str) -> None:
    print(f"nnet.recogniser: error: {error}", file=sys.stderr)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
