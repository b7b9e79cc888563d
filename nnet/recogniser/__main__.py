"""Recordings to words, with a packed model: python -m nnet.recogniser --help."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnet.recogniser import Speaker

DESCRIPTION = """Prints a line for each recording: its name without the ending (blanks as _), and the words.
<model> is a folder that local/pack_model.sh made. Any file that libsndfile reads is a recording; long ones are cut at
pauses. One that cannot be used is named with the reason, and the others are done; the status is 1 if there is none."""


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
    parser.add_argument(
        "--one-speaker", action="store_true", help="all recordings are of one speaker, not each of its own"
    )
    parser.add_argument("--alternatives", type=int, default=0, metavar="N", help="so many word sequences, in JSON")
    parser.add_argument("--backend", choices=("onnxruntime", "pytorch"), help="default: the first that is installed")
    parser.add_argument("model", type=Path, metavar="<model>")
    parser.add_argument("recordings", type=Path, nargs="+", metavar="<recording>")
    arguments = parser.parse_args(argv)
    arguments.formats = arguments.format.split(",")
    for name in arguments.formats:
        if name not in FORMATS:
            parser.error(f"--format {name}: one of {', '.join(FORMATS)}")
    if not arguments.dir and len(arguments.formats) > 1:
        parser.error("--format: several need --dir, to be written into files")
    if not arguments.dir and arguments.format not in LINES and len(arguments.recordings) > 1:
        parser.error(f"--format {arguments.format}: of several recordings it needs --dir, to be written into files")
    if arguments.alternatives < 0:
        parser.error("--alternatives: not negative")
    return arguments


def main(argv: list[str] | None = None) -> int:
    arguments = parse_args(argv)
    from nnet.recogniser import AudioError, KaldiError, Recogniser

    names = ["_".join(recording.stem.split()) for recording in arguments.recordings]
    name, count = Counter(names).most_common(1)[0]
    done = 0
    try:
        if count > 1:
            raise ValueError(
                f"{count} recordings have the name {name}: rename them, results have names without endings"
            )
        recogniser = Recogniser(arguments.model, backend=arguments.backend)
        if arguments.dir:
            arguments.dir.mkdir(parents=True, exist_ok=True)
        speaker, of_speaker = recogniser.speaker(), []
        for name, recording in zip(names, arguments.recordings, strict=True):
            try:
                speaker.add(recording)
            except AudioError as error:
                _complain(error)
                continue
            of_speaker.append(name)
            if not arguments.one_speaker:
                _put_out(arguments, of_speaker, speaker)
                speaker, of_speaker = recogniser.speaker(), []
            done += 1
        _put_out(arguments, of_speaker, speaker)
    except (OSError, ValueError, KaldiError) as error:
        _complain(error)
        return 1
    return 0 if done else 1


def _put_out(arguments: argparse.Namespace, names: list[str], speaker: Speaker) -> None:
    from local.whole_file import write_file
    from nnet.recogniser.formats import FORMATS

    transcriptions = speaker.transcribe(alternatives=arguments.alternatives)
    for name, transcription in zip(names, transcriptions, strict=True):
        for form in arguments.formats:
            content = FORMATS[form](name, transcription)
            if arguments.dir:
                write_file(arguments.dir / f"{name}.{form}", content)
            else:
                print(content, end="", flush=True)


def _complain(error: Exception) -> None:
    print(f"nnet.recogniser: error: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
