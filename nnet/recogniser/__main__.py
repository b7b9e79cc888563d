"""Recordings to words, with a packed model: python -m nnet.recogniser --help."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnet.recogniser import Recogniser, Transcription

Recordings = list[tuple[str, Path]]  # name and file

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
    parser.add_argument(
        "--align", type=Path, metavar="TEXT", help="align: a file of lines NAME WORD ... as Kaldi's text, by recordings"
    )
    parser.add_argument("--encoder", metavar="DIR", help="where the encoder of the features lies, if not in the model")
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
    if arguments.align and (arguments.one_speaker or arguments.alternatives):
        parser.error("--align: not with --one-speaker or --alternatives")
    if arguments.alternatives < 0:
        parser.error("--alternatives: not negative")
    return arguments


def main(argv: list[str] | None = None) -> int:
    arguments = parse_args(argv)
    from nnet.recogniser import KaldiError, Recogniser

    recordings = [("_".join(recording.stem.split()), recording) for recording in arguments.recordings]
    name, count = Counter(name for name, _ in recordings).most_common(1)[0]
    done = 0
    try:
        if count > 1:
            raise ValueError(
                f"{count} recordings have the name {name}: rename them, results have names without endings"
            )
        recogniser = Recogniser(arguments.model, encoder=arguments.encoder, backend=arguments.backend)
        if arguments.dir:
            arguments.dir.mkdir(parents=True, exist_ok=True)
        if arguments.align:
            found = _aligned(recogniser, recordings, arguments.align)
        else:
            found = _transcribed(recogniser, recordings, arguments.one_speaker, arguments.alternatives)
        for name, transcription in found:
            _put_out(arguments, name, transcription)
            done += 1
    except (OSError, ValueError, KaldiError) as error:
        _complain(error)
        return 1
    return 0 if done else 1


def _transcribed(
    recogniser: Recogniser, recordings: Recordings, one_speaker: bool, alternatives: int
) -> Iterator[tuple[str, Transcription]]:
    """What was said, of each recording that can be used."""
    from nnet.recogniser import AudioError

    for of_speaker in [recordings] if one_speaker else [[recording] for recording in recordings]:
        speaker, names = recogniser.speaker(), []
        for name, recording in of_speaker:
            try:
                speaker.add(recording)
            except AudioError as error:
                _complain(error)
                continue
            names.append(name)
        yield from zip(names, speaker.transcribe(alternatives=alternatives), strict=True)


def _aligned(recogniser: Recogniser, recordings: Recordings, texts: Path) -> Iterator[tuple[str, Transcription]]:
    """When each word of its text was said, of each recording that can be used and has a text that fits it."""
    from local.audio import read_scp
    from nnet.recogniser import AudioError, TextError

    text_of = read_scp(texts)
    for name, recording in recordings:
        try:
            if name not in text_of:
                raise TextError(f"no text in {texts}")
            yield name, recogniser.align(recording, text_of[name])
        except TextError as error:
            _complain(f"{name}: {error}")
        except AudioError as error:
            _complain(error)


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
