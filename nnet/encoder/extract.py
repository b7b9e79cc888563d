"""Write a data directory with a pretrained encoder's features: python3 -m nnet.encoder.extract --help."""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.matrix.io import FLOAT_MATRIX, write_compressed
from kaldi.util.table import TableWriter
from local.audio import RATE, AudioError, Segment, list_utterances
from local.data_dir import write_table
from local.whole_file import read_lines, write_file
from nnet.encoder import identity
from nnet.encoder.encoder import FACTOR, Encoder
from nnet.encoder.mel import SHIFT, WINDOW
from nnet.encoder.models import find_encoder

DESCRIPTION = """Write the outputs of an encoder (Whisper's family, in CTranslate2's format) for the utterances of
<data-dir> into the data directory <out-dir>: 50 frames a second, one for two of the recipe's frames of 10 ms,
compressed. A run that was killed goes on where it was; what is older than the tables of <data-dir> is computed again.
With --job and --num-jobs a share of the utterances is computed; the same command without them then ends the work."""
PART = 20  # utterances of an archive, which is kept when a run is killed
COMPRESSED = FLOAT_MATRIX._replace(write=write_compressed)

log = logging.getLogger("encoder")


class Part:
    """Some utterances, whose archive is complete when its scp is there."""

    def __init__(self, stem: Path, utterances: dict[str, Segment]) -> None:
        self.utterances = utterances
        self.ark, self.scp, self.bad = (stem.with_name(f"{stem.name}.{end}") for end in ("ark", "scp", "bad"))

    def is_done(self, since: int, skip_unreadable: bool) -> bool:
        """Whether it is complete and newer than a time in nanoseconds; where recordings were bad, if that may be."""
        if not self.scp.exists() or self.scp.stat().st_mtime_ns < since:
            return False
        return skip_unreadable or not self.bad.exists()

    def write(self, encoder: Encoder) -> None:
        """Compute and write the features, and the names of what could not be read. Raises OSError, KaldiError."""
        for path in (self.scp, self.bad):
            path.unlink(missing_ok=True)
        bad = []
        with TableWriter(f"ark,scp:{self.ark},{self.scp}", COMPRESSED) as writer:  # both appear at the end
            for utterance, segment in self.utterances.items():
                try:
                    writer.write(utterance, features(encoder, segment))
                except AudioError as error:
                    log.warning("utterance %s has no features: %s", utterance, error)
                    bad.append(f"{utterance} {error}")
            if bad:
                write_table(self.bad, bad)


def features(encoder: Encoder, segment: Segment) -> np.ndarray:
    """Of one utterance: float32 [frames, dim]. Raises AudioError."""
    samples = segment.read()
    if len(samples) < WINDOW:
        raise AudioError(f"recording is shorter than a frame of {1000 * WINDOW // RATE} ms: {segment.recording}")
    return encoder(samples)


def parts_of(data: Path, out: Path, encoder: identity.Identity) -> list[Part]:
    """The same for any number of jobs, and others for another encoder. Raises OSError, ValueError."""
    utterances = list_utterances(data)
    ids, folder = list(utterances), out.resolve() / "data"
    folder.mkdir(parents=True, exist_ok=True)
    return [
        Part(
            folder / f"feats_{encoder.sha256[:16]}.{number}",
            {id: utterances[id] for id in ids[first : first + PART]},
        )
        for number, first in enumerate(range(0, len(ids), PART), 1)
    ]


def compute(parts: list[Part], encoder: Encoder) -> None:
    """Write parts, and say how far it is."""
    began = time.monotonic()
    for number, part in enumerate(parts, 1):
        part.write(encoder)
        log.info("%d of %d parts, %.0f s", number, len(parts), time.monotonic() - began)


def bad_utterances(parts: list[Part]) -> list[str]:
    """Utterances without features, each with the reason."""
    return [line for part in parts if part.bad.exists() for line in read_lines(part.bad)]


def finish(data: Path, out: Path, parts: list[Part], encoder: identity.Identity) -> int:
    """Make the data directory; feats.scp comes last. Returns the number of utterances. Raises OSError, ValueError."""
    lines = sorted(line for part in parts for line in read_lines(part.scp))
    if not lines:
        raise ValueError(f"{data}: not a single utterance has features: {bad_utterances(parts)[0]}")
    utility("copy_data_dir.sh", data.resolve(), out.resolve())
    for table in ("feats.scp", "cmvn.scp", "vad.scp", "utt2num_frames"):  # of the features of <data-dir>
        (out / table).unlink(missing_ok=True)
    write_file(out / "frame_shift", f"{FACTOR * SHIFT / RATE:g}\n")
    write_file(out / "frame_subsampling_factor", f"{FACTOR}\n")
    write_file(out / identity.FILE, encoder.line + "\n")
    write_table(out / "feats.scp", lines)
    if bad_utterances(parts):
        utility("fix_data_dir.sh", out.resolve())
    kept = {path for part in parts for path in (part.ark, part.scp, part.bad)}
    for path in (out / "data").resolve().glob("feats_*"):
        if path not in kept:  # of another encoder, or of more utterances
            path.unlink()
    return len(lines)


def utility(name: str, *arguments: Path) -> None:
    """Run a script of utils/. ValueError with what it says if it fails."""
    recipe = Path(__file__).resolve().parents[2]
    command = ["bash", f"utils/{name}", *map(str, arguments)]
    done = subprocess.run(command, cwd=recipe, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError((done.stderr or done.stdout).strip().splitlines()[-1])


def run(args: argparse.Namespace) -> None:
    """Compute what is missing, and end the work unless this is one of several jobs. Raises OSError, ValueError."""
    folder = find_encoder(args.model)
    encoder = identity.identify(folder)
    if args.data.resolve() == args.out.resolve():
        raise ValueError(f"{args.out}: is the source itself: choose another directory")
    parts = parts_of(args.data, args.out, encoder)
    mine = parts[args.job - 1 :: args.num_jobs]
    tables = [table for name in ("wav.scp", "segments") if (table := args.data / name).exists()]
    since = max(table.stat().st_mtime_ns for table in tables)
    missing = [part for part in mine if not part.is_done(since, args.skip_unreadable)]
    if missing:
        (args.out / "feats.scp").unlink(missing_ok=True)
        compute(missing, Encoder(folder, args.use_gpu))
    bad = bad_utterances(mine)
    if bad and not args.skip_unreadable:
        raise ValueError(
            f"{args.data}: {len(bad)} utterances have no features: {'; '.join(bad[:3])}: repair them, or go without "
            "them by --skip-unreadable"
        )
    if args.num_jobs == 1:
        count = finish(args.data, args.out, parts, encoder)
        log.info("%s: %d utterances have features of %s", args.out, count, encoder)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python3 -m nnet.encoder.extract", description=DESCRIPTION)
    parser.add_argument("--use-gpu", choices=("auto", "true", "false"), default="false")
    parser.add_argument("--skip-unreadable", action="store_true", help="leave out utterances that cannot be read")
    parser.add_argument("--job", type=int, default=1, help="number of this job (default: %(default)s)")
    parser.add_argument("--num-jobs", type=int, default=1, help="of how many (default: %(default)s)")
    parser.add_argument("model", metavar="<encoder>", help="a folder, or a name as for nnet.encoder.models")
    parser.add_argument("data", type=Path, metavar="<data-dir>")
    parser.add_argument("out", type=Path, metavar="<out-dir>")
    args = parser.parse_args(argv)
    if not 1 <= args.job <= args.num_jobs:
        parser.error("--job: from 1 to --num-jobs")
    return args


def main(argv: list[str] | None = None) -> int:
    """Run the extraction; bad input is one line on stderr."""
    args = parse_args(argv)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    try:
        run(args)
    except (ValueError, OSError, KaldiError) as error:
        print(f"nnet.encoder.extract: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("nnet.encoder.extract: stopped; the same command goes on from there", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
