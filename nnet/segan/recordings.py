"""Sets of recordings: a Kaldi data directory or a folder of audio files, and pairs of two such sets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from local.audio import Segment, list_utterances
from nnet.segan.log import log

# A file that is named so is meant to be a recording, and one that cannot be read is a fault; others are tried.
AUDIO_SUFFIXES = ".wav .flac .ogg .oga .opus .mp3 .aiff .aif .aifc .au .snd .sph .w64 .rf64 .caf".split()
NAMED = 10  # names in a message


def find_recordings(directory: Path) -> dict[str, Segment]:
    """Utterances of a Kaldi data directory by id, or audio files anywhere below a folder by their path in it.

    Folders may be links. Files of a folder that are not audio are left out and named.
    """
    if not directory.is_dir():
        raise ValueError(f"{directory}: no such directory")
    if is_data_dir(directory):
        return list_utterances(directory)
    audio: list[Path] = []
    others: list[Path] = []
    for path in sorted(_files_below(directory)):
        (audio if _is_recording(path) else others).append(path)
    if others:
        names = _listed([str(path.relative_to(directory)) for path in others])
        log.warning("%s: left out %d files that are not audio: %s", directory, len(others), names)
    if not audio:
        raise ValueError(f"{directory}: neither a Kaldi data directory (no wav.scp) nor a folder with audio files")
    return {str(path.relative_to(directory)): Segment(str(path)) for path in audio}


def is_data_dir(directory: Path) -> bool:
    return (directory / "wav.scp").is_file()


def _files_below(directory: Path) -> Iterator[Path]:
    """All files, each folder once even where links lead back to it."""
    seen = set()
    for folder, folders, names in os.walk(directory, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(folder, name) for name in names)


def _is_recording(path: Path) -> bool:
    if path.name.startswith("._"):  # what a Mac writes beside every file on other file systems
        return False
    if path.suffix.lower() in AUDIO_SUFFIXES:
        return True
    try:
        return soundfile.info(path).frames > 0
    except (soundfile.SoundFileError, OSError, TypeError):  # TypeError: .raw, which says nothing about itself
        return False


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def pair_recordings(clean: Path, noisy: Path) -> dict[str, tuple[Segment, Segment]]:
    """Clean and noisy recordings of the same names, or of the same names but for the ending; by those of the clean.

    ValueError lists the names that only one side has.
    """
    left, right = find_recordings(clean), find_recordings(noisy)
    partner = {name: name for name in left.keys() & right.keys()}
    stems = _by_stem(noisy, right.keys() - partner.keys())
    for stem, name in _by_stem(clean, left.keys() - partner.keys()).items():
        if stem in stems:
            partner[name] = stems[stem]
    lonely = [f"{name} (only in {clean})" for name in left.keys() - partner.keys()]
    lonely += [f"{name} (only in {noisy})" for name in right.keys() - set(partner.values())]
    if lonely:
        raise ValueError(f"{clean} and {noisy} do not pair up: {_listed(sorted(lonely))}")
    return {name: (left[name], right[partner[name]]) for name in left}


def _by_stem(directory: Path, names: set[str]) -> dict[str, str]:
    """Names by what they are without their ending, which utterance-ids do not have."""
    stems: dict[str, str] = {}
    for name in sorted(names):
        stem = name if is_data_dir(directory) else str(Path(name).with_suffix(""))
        if stem in stems:
            raise ValueError(f"{directory}: {stems[stem]} and {name} are both {stem}: rename one of them")
        stems[stem] = name
    return stems


def read_pair(name: str, pair: tuple[Segment, Segment], rate: int, cut: bool) -> tuple[np.ndarray, np.ndarray]:
    """Both recordings of a pair, equally long; ValueError if they are not and may not be cut."""
    clean, noisy = (recording.read(rate) for recording in pair)
    if len(clean) != len(noisy):
        if not cut:
            raise ValueError(
                f"{name}: clean has {len(clean)} samples and noisy {len(noisy)}; --cut (for a shell script --cut true) "
                "cuts the longer one"
            )
        shorter = min(len(clean), len(noisy))
        clean, noisy = clean[:shorter], noisy[:shorter]
    return clean, noisy
