#!/usr/bin/env python3
"""What corpora of many hours cost apart from number crunching: tables of their size, almost nothing in the recordings.

Prints for each size and each thing that the recipe does with tables in one process (on the machine of run.sh, or in a
job) the seconds of processor time, the seconds that passed and the memory of its largest process. Utterances of 5 s,
200 a speaker; a recording has 50 ms, the features 3 frames of 13 numbers, the alignments 3 integers.
"""

from __future__ import annotations

import argparse
import os
import random
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[1]
UTTERANCES_PER_HOUR, UTTERANCES_PER_SPEAKER, FRAMES = 720, 200, 3
WORDS = [f"WORD{number}" for number in range(10000)]

INDEX = """
from pathlib import Path
from nnet.ligru.data import Corpus
data = Path("data")
corpus = Corpus([data], data / "pdf.scp", data / "pdf.scp", cmvn="mean", context=(0, 0), tolerance=0, num_pdfs=9)
assert corpus.utterances
"""
ORDER = "from nnet.segan.shuffle import shuffled; shuffled({windows}, 1)"

# Stage, what is done, and its command; {nj} jobs.
COMMANDS = [
    ("0", "check of a data directory", "utils/validate_data_dir.sh --no-feats data"),
    ("0", "reading the recordings", "python3 local/prepare_recordings.py copy wav"),
    ("0", "noisy copies", "python3 local/add_noise.py data noise.list noisy"),
    ("0", "noisy copies with other speakers", "python3 local/add_noise.py --babble-data data data noise.list noisy"),
    ("1", "language model of the transcripts", "python3 local/train_lm.py --order 3 data/text words.txt lm.arpa.gz"),
    ("2", "order of SEGAN's windows", "python3 -c {order}"),
    ("4", "split of wav.scp", "utils/split_scp.pl data/wav.scp {parts}"),
    ("5", "CMVN statistics", "steps/compute_cmvn_stats.sh data"),
    ("5", "repair of a data directory", "utils/fix_data_dir.sh copy"),
    ("6", "the shortest utterances", "utils/subset_data_dir.sh --shortest data 2000 short"),
    ("7", "split for {nj} jobs", "utils/split_data.sh data {nj}"),
    ("10", "copy of a data directory", "utils/copy_data_dir.sh data copied"),
    ("10", "clean and noisy together", "local/combine_conditions.sh data copied both"),
    ("11", "alignments in one file", "copy-int-vector scp:data/pdf.scp ark,scp:pdf.ark,pdf.scp"),
    ("11", "start of a Li-GRU", "python3 -c {index}"),
]


def write_archive(path: Path, keys: list[str], entry: bytes) -> None:
    """The same entry for each key, as a Kaldi archive, and its scp."""
    with path.open("wb") as archive, path.with_suffix(".scp").open("w") as scp:
        for key in keys:
            archive.write(f"{key} ".encode())
            scp.write(f"{key} {path}:{archive.tell()}\n")
            archive.write(entry)


def make_data(folder: Path, utterances: int) -> None:
    """Data directories `data` and `copy`, noise.list and words.txt."""
    data = folder / "data"
    (data / "data").mkdir(parents=True)
    keys = [
        f"s{number // UTTERANCES_PER_SPEAKER:05d}-{number % UTTERANCES_PER_SPEAKER:03d}" for number in range(utterances)
    ]
    words = random.Random(1)
    noise = np.random.default_rng(1).normal(0, 0.1, 16000).clip(-1, 1)
    soundfile.write(folder / "short.wav", noise[:800], 16000)
    soundfile.write(folder / "noise.wav", noise, 16000)
    (folder / "noise.list").write_text(f"{folder}/noise.wav\n")
    (folder / "words.txt").write_text("".join(f"{word} {number}\n" for number, word in enumerate(["<eps>", *WORDS])))
    tables = {
        "wav.scp": lambda key: f"{folder}/short.wav",
        "text": lambda key: " ".join(words.choices(WORDS[:2000], k=8)),
        "utt2spk": lambda key: key.partition("-")[0],
        "utt2dur": lambda key: f"{words.uniform(1, 9):.2f}",
        "utt2num_frames": lambda key: str(FRAMES),
    }
    for name, value in tables.items():
        (data / name).write_text("".join(f"{key} {value(key)}\n" for key in keys))
    matrix = b"\0BFM \4" + struct.pack("<i", FRAMES) + b"\4" + struct.pack("<i", 13) + b"\0\0\x80\x3f" * 13 * FRAMES
    write_archive(data / "data/feats.ark", keys, matrix)
    write_archive(data / "pdf.ark", keys, b"\0B\4" + struct.pack("<i", FRAMES) + b"\4\1\0\0\0" * FRAMES)
    shutil.move(data / "data/feats.scp", data / "feats.scp")
    speakers: dict[str, list[str]] = {}
    for key in keys:
        speakers.setdefault(key.partition("-")[0], []).append(key)
    (data / "spk2utt").write_text("".join(f"{speaker} {' '.join(of)}\n" for speaker, of in speakers.items()))
    shutil.copytree(data, folder / "copy")


def measure(command: str, folder: Path, environment: dict[str, str]) -> tuple[float, float, float]:
    """Processor seconds, seconds and MiB of a command, in a process that has no other children."""
    began = time.monotonic()
    process = subprocess.Popen(["bash", "-c", command], cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"large_corpus.py: failed: {command}")
    return used.ru_utime + used.ru_stime, time.monotonic() - began, used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, nargs="+", default=[10, 100, 1000], help="sizes (default 10 100 1000)")
    parser.add_argument("--nj", type=int, default=64, help="jobs to split tables for, at most (default %(default)s)")
    parser.add_argument("--leave-out", nargs="*", default=[], help="what is not to be measured, e.g. 'noisy copies'")
    arguments = parser.parse_args()
    path = os.pathsep.join(
        [str(ROOT / "utils"), str(ROOT / "kaldi/bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    )
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "LC_ALL": "C", "OMP_NUM_THREADS": "1"}
    print("hours\tutterances\tstage\twhat\tprocessor s\ts\tMiB", flush=True)
    for hours in arguments.hours:
        utterances = round(hours * UTTERANCES_PER_HOUR)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            for part in ("utils", "steps", "local", "nnet", "kaldi", "conf", "path.sh", ".venv"):
                (folder / part).symlink_to(ROOT / part)
            make_data(folder, utterances)
            jobs = min(arguments.nj, -(-utterances // UTTERANCES_PER_SPEAKER))
            values = {
                "nj": jobs,
                "parts": " ".join(f"part.{part}" for part in range(jobs)),
                "order": shlex.quote(ORDER.format(windows=round(hours * 3600 * 2))),
                "index": shlex.quote(INDEX),
            }
            for stage, what, command in COMMANDS:
                if what not in arguments.leave_out:
                    used = measure(command.format(**values), folder, environment)
                    print(
                        f"{hours:g}\t{utterances}\t{stage}\t{what.format(**values)}",
                        *(f"{x:.1f}" for x in used),
                        sep="\t",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
