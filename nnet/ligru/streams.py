"""The streams of features that a network works on, as its own file `streams` says.

A line a stream, in the order in which they are pasted: its dimension; how many frames of the alignments one of its
frames stands for, its factor; and the encoder that computed it (name, hash of the weights, folder), or - for features
of Kaldi. The network works at the rate of the slowest stream: of faster ones, the frames that one of its frames stands
for are put side by side, and its outputs count for as many frames of the alignments as its factor says.
`python3 -m nnet.ligru.streams NNET-DIR DATA-DIR,DATA-DIR` says whether data directories have these streams.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nnet.encoder import identity

FILE = "streams"
NO_ENCODER = "-"


class Stream(NamedTuple):
    """Features of one kind."""

    dim: int
    factor: int
    encoder: identity.Identity | None

    @property
    def line(self) -> str:
        return f"{self.dim} {self.factor} {self.encoder.line if self.encoder else NO_ENCODER}"

    @property
    def kind(self) -> tuple[int, str | None]:
        """What must be the same in training and later."""
        return self.factor, self.encoder.sha256 if self.encoder else None

    def __str__(self) -> str:
        slower = f", a frame for {self.factor}" if self.factor > 1 else ""
        return (f"the encoder {self.encoder}" if self.encoder else "no encoder") + slower


def of_data_dir(data_dir: Path, dim: int = 0) -> Stream:
    """The stream of a data directory. Raises OSError, ValueError."""
    path = data_dir / "frame_subsampling_factor"
    factor = path.read_text().strip() if path.exists() else "1"
    if not factor.isdecimal() or int(factor) == 0:
        raise ValueError(f"{path}: expected a number of frames, found '{factor}'")
    return Stream(dim, int(factor), identity.read(data_dir))


def network_factor(streams: Sequence[Stream], source: object) -> int:
    """How many frames of the alignments a frame of a network on these streams stands for. ValueError names source."""
    largest = max(stream.factor for stream in streams)
    for stream in streams:
        if largest % stream.factor:
            raise ValueError(f"{source}: frames for {largest} cannot be made of frames for {stream.factor}")
    return largest


def read(nnet_dir: Path) -> list[Stream]:
    """The streams of a network. Raises OSError, ValueError."""
    path, streams = nnet_dir / FILE, []
    for line in path.read_text().splitlines():
        try:
            dim, factor, encoder = line.split(maxsplit=2)
            streams.append(
                Stream(int(dim), int(factor), None if encoder == NO_ENCODER else identity.parse(encoder, path))
            )
        except ValueError:
            raise ValueError(f"{path}: not the dimension, factor and encoder of a stream: '{line}'") from None
    return streams


def check(nnet_dir: Path, data_dirs: Sequence[Path]) -> None:
    """ValueError unless data directories have the streams of a network, in their order. Raises OSError."""
    trained, given = read(nnet_dir), [of_data_dir(directory) for directory in data_dirs]
    if len(trained) != len(given):
        raise ValueError(
            f"{nnet_dir} was trained on {len(trained)} streams of features ({'; '.join(map(str, trained))}), not on "
            f"{len(given)}: give a data directory of each, with commas between"
        )
    for directory, ours, theirs in zip(data_dirs, given, trained, strict=True):
        if ours.kind != theirs.kind:
            raise ValueError(f"{directory} has features of {ours}, {nnet_dir} was trained on those of {theirs}")


def main() -> int:
    if len(sys.argv) != 3 or sys.argv[1] == "--help":
        print("Usage: python3 -m nnet.ligru.streams <nnet-dir> <data-dir>[,<data-dir>...]", file=sys.stderr)
        return 0 if "--help" in sys.argv else 1
    try:
        check(Path(sys.argv[1]), [Path(directory) for directory in sys.argv[2].split(",")])
    except (ValueError, OSError) as error:
        print(f"nnet.ligru.streams: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
