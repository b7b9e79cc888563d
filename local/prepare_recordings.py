#!/usr/bin/env python3
"""Check every recording of a Kaldi data directory, and convert those that are not 16 kHz mono 16-bit WAV files.

Converted copies go to <wav-dir>, and wav.scp is rewritten to point there. Where there are segments, they become
recordings of their own, and wav.scp is one of utterances. A recording that is missing, empty,
truncated, shorter than a frame or not audio stops the program with one line that names it and its utterance; with
--skip-bad true such recordings are left out of wav.scp instead, and the caller runs utils/fix_data_dir.sh.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from local.audio import RATE, AudioError, Segment, list_utterances, write_audio
from local.job_array import JobError, add_job_options, in_jobs
from local.whole_file import write_file

log = logging.getLogger("prepare_recordings.py")

FRAME = 0.025  # seconds of a frame of conf/mfcc.conf


def is_wanted_format(source: str) -> bool:
    """Whether Kaldi's programs can read the file as it is: a 16 kHz mono 16-bit WAV file."""
    if not Path(source).exists():  # a command, or a place in an archive
        return False
    info = soundfile.info(source)
    return (info.format, info.subtype, info.samplerate, info.channels) == ("WAV", "PCM_16", RATE, 1)


def prepare(name: str, segment: Segment, wav_dir: Path) -> tuple[str, str]:
    """Check one recording; returns where it is now, and what is wrong with it."""
    source = segment.recording
    try:
        samples = segment.read()
        if len(samples) < FRAME * RATE:
            raise AudioError(f"recording is shorter than a frame of {1000 * FRAME:.0f} ms: {source}")
        if segment == Segment(source) and is_wanted_format(source):
            return source, ""
        target = wav_dir / f"{name}.wav"
        wav_dir.mkdir(parents=True, exist_ok=True)
        write_audio(target, samples / max(1.0, np.abs(samples).max()))
    except AudioError as error:
        return source, str(error)
    return str(target), ""


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_job_options(parser)
    parser.add_argument("--skip-bad", choices=["true", "false"], default="false")
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("wav_dir", type=Path)
    arguments = parser.parse_args()
    scp = arguments.data_dir / "wav.scp"
    wav_dir = arguments.wav_dir.resolve()
    skip_bad = arguments.skip_bad == "true"

    def prepare_all(utterances: Sequence[tuple[str, Segment]]) -> Iterator[tuple[str, str, str]]:
        """Utterance-id, and what prepare returns; a bad recording is the last, unless skipped."""
        for name, segment in utterances:
            now, problem = prepare(name, segment, wav_dir)
            yield name, now, problem
            if problem and not skip_bad:
                return

    utterances = list_utterances(arguments.data_dir)
    lines, converted, skipped = [], 0, 0
    logs = arguments.data_dir / "log/prepare_recordings"
    for name, now, problem in in_jobs(prepare_all, list(utterances.items()), arguments, logs):
        if problem and not skip_bad:
            raise AudioError(f"{scp}: {name}: {problem}")
        if problem:
            log.warning("skipped %s: %s", name, problem)
            skipped += 1
            continue
        converted += now != utterances[name].recording
        lines.append(f"{name} {now}\n")
    write_file(scp, "".join(lines))
    (arguments.data_dir / "segments").unlink(missing_ok=True)
    log.info("%s: %d recordings, %d converted to 16 kHz mono, %d skipped", scp, len(lines), converted, skipped)


if __name__ == "__main__":
    try:
        main()
    except (AudioError, JobError, OSError, ValueError) as failure:
        sys.exit(f"prepare_recordings.py: {failure}")
