"""The recordings that a command line names: files, folders, a list, standard input."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from local.whole_file import read_lines

# Of the files in a folder; whoever has others names them.
ENDINGS = set(
    "3gp aac aif aiff amr ape asf au avi caf flac flv m4a m4v mka mkv mov mp2 mp3 mp4 mpc mpeg mpg nist oga ogg ogv "
    "opus rf64 snd sph spx tta voc w64 wav webm wma wmv wv".split()
)
STDIN = "-"

Recordings = list[tuple[str, Path]]  # name and file


def find_recordings(given: Sequence[str], recording_list: Path | None, folder: Path) -> Recordings:
    """All recordings, in the order in which they are given, those of a folder by their names.

    A name is that of the file without the ending, in a folder with those of the folders in between, blanks as _. A list
    has lines "FILE" or, as Kaldi's wav.scp, "NAME FILE". folder: where standard input, -, is kept.
    Raises OSError; ValueError for a folder or list without recordings, or two of one name.
    """
    found = [one for argument in given for one in _of_argument(argument, folder)]
    if recording_list:
        found += _of_list(recording_list)
    name, count = Counter(name for name, _ in found).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{count} recordings have the name {name}: rename them, results have names without endings")
    return found


def _of_argument(argument: str, folder: Path) -> Iterator[tuple[str, Path]]:
    path = Path(argument)
    if argument == STDIN:
        path = folder / "stdin"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield path.name, path
    elif path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix[1:].lower() in ENDINGS and file.is_file())
        if not files:
            raise ValueError(f"{path}: no recording is in this folder")
        for recording in files:
            yield _named("_".join(recording.relative_to(path).with_suffix("").parts)), recording
    else:
        yield _named(path.stem), path


def _of_list(path: Path) -> Iterator[tuple[str, Path]]:
    lines = [line.strip() for line in read_lines(path) if line.strip()]
    if not lines:
        raise ValueError(f"{path}: no recording is in this list")
    for line in lines:
        name, *rest = line.split(maxsplit=1)
        is_file = not rest or Path(line).exists()
        yield (_named(Path(line).stem), Path(line)) if is_file else (name, Path(rest[0]))


def _named(stem: str) -> str:
    return "_".join(stem.split())
