"""A small acoustic task: each pdf has a mean, alignments walk through them, every speaker shifts and scales them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kaldi.matrix.io import FLOAT_MATRIX
from kaldi.util.table import read_table

# Tables are written by the package of Kaldi's users, so that our readers meet what others wrote. It asks for a
# KALDI_ROOT when it is imported and puts it on the PATH, which is not to change.
_environment = dict(os.environ)
os.environ["KALDI_ROOT"] = "/"
import kaldi_io  # noqa: E402

os.environ.clear()
os.environ.update(_environment)


def read_matrices(rspecifier: str) -> Iterator[tuple[str, np.ndarray]]:
    """Keys and matrices of a table."""
    return read_table(rspecifier, FLOAT_MATRIX)


def write_table(path: Path, table: dict[str, np.ndarray]) -> None:
    """An archive and its scp."""
    write = kaldi_io.write_vec_int if next(iter(table.values())).dtype == np.int32 else kaldi_io.write_mat
    lines = []
    with path.with_suffix(".ark").open("wb") as stream:
        for key, value in table.items():
            lines.append(f"{key} {path.with_suffix('.ark')}:{stream.tell() + len(key) + 1}\n")
            write(stream, value, key)
    path.with_suffix(".scp").write_text("".join(lines))


def make_task(
    root: Path,
    *,
    pdfs: int = 12,
    dim: int = 8,
    speakers: int = 4,
    utterances: int = 8,
    frames: tuple[int, int] = (20, 60),
    seed: int = 1,
) -> Path:
    """data-<set>/{feats,cmvn}.scp, utt2spk, <set>_pdf.scp, <set>_phone.scp for train and dev, and the counts."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(pdfs, dim))
    root.mkdir(parents=True, exist_ok=True)
    for name in ("train", "dev"):
        data = root / f"data-{name}"
        data.mkdir()
        feats, targets, phones, stats, utt2spk = {}, {}, {}, {}, []
        for speaker in range(speakers):
            spk = f"{name}{speaker:03}"
            total = np.zeros((2, dim + 1))
            scale, shift = rng.uniform(0.5, 2), rng.normal(size=dim)
            for number in range(utterances):
                id = f"{spk}-{number:03}"
                length = int(rng.integers(*frames))
                pdf = np.repeat(rng.integers(pdfs, size=length), rng.integers(3, 8, size=length))[:length]
                x = (scale * (means[pdf] + 0.7 * rng.normal(size=(length, dim))) + shift).astype(np.float32)
                feats[id], targets[id], phones[id] = x, pdf.astype(np.int32), (pdf // 3 + 1).astype(np.int32)
                total += np.vstack([np.append(x.sum(0), length), np.append((x.astype(np.float64) ** 2).sum(0), 0)])
                utt2spk.append(f"{id} {spk}\n")
            stats[spk] = total
        write_table(data / "feats", feats)
        write_table(data / "cmvn", stats)
        (data / "utt2spk").write_text("".join(utt2spk))
        write_table(root / f"{name}_pdf", targets)
        write_table(root / f"{name}_phone", phones)
        if name == "train":
            counts = np.bincount(np.concatenate(list(targets.values())), minlength=pdfs)
            (root / "ali_train_pdf.counts").write_text(f" [ {' '.join(map(str, counts))} ]\n")
    return root
