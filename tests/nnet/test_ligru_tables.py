"""Keys beyond ASCII, and the sources of an scp."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ligru_task import kaldi_io, make_task, read_matrices

from kaldi.base.log import KaldiError
from kaldi.matrix.compressed import ONE_BYTE_AUTO, SPEECH, TWO_BYTE_AUTO
from kaldi.matrix.io import DOUBLE_MATRIX, FLOAT_MATRIX, write_compressed
from kaldi.matrix.rows import MATRIX_ROWS, Blocks
from kaldi.util.kinds import Kind
from kaldi.util.table import TableWriter, read_table
from nnet.ligru.data import Corpus
from nnet.ligru.tables import TableError, matrix_shape, read_matrix, read_scp

ROOT = Path(__file__).parents[2]
IDS = ["müller", "kız", "voilà", "子供\u3000一"]  # à and the wide space end in bytes that are white space in Latin-1
COPY = """
import sys
from kaldi.matrix.rows import MATRIX_ROWS, Blocks
from kaldi.util.table import TableWriter, read_table
with TableWriter("ark:-", MATRIX_ROWS) as writer:
    for key, rows in read_table(sys.argv[1], MATRIX_ROWS):
        writer.write(key, Blocks(*rows.shape, iter([rows.read()])))
"""


@pytest.fixture
def table(tmp_path):
    """An archive and an scp with file names like the keys."""
    lines = []
    for id in IDS:
        with TableWriter(f"ark:{tmp_path}/{id}.ark", FLOAT_MATRIX) as writer:
            writer.write(id, np.ones((2, 3)))
        lines.append(f"{id} {tmp_path}/{id}.ark:{len(id.encode()) + 1}\n")
    (tmp_path / "x.scp").write_bytes("".join(lines).encode())
    (tmp_path / "x.ark").write_bytes(b"".join((tmp_path / f"{id}.ark").read_bytes() for id in IDS))
    return tmp_path


@pytest.mark.parametrize("utf8", ["0", "1"])
@pytest.mark.parametrize("kind", ["ark", "scp"])
def test_keys_keep_their_bytes_in_every_locale(table, kind, utf8):
    done = subprocess.run(
        [sys.executable, "-c", COPY, f"{kind}:{table}/x.{kind}"],
        cwd=ROOT,
        capture_output=True,
        env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": utf8, "PYTHONCOERCECLOCALE": "0"},
    )
    assert done.stdout == (table / "x.ark").read_bytes(), done.stderr
    assert b"voil\xc3\xa0 \0B" in done.stdout
    assert [key for key, _ in read_matrices(f"{kind}:{table}/x.{kind}")] == IDS


def test_scp_of_a_command(table, capfd):
    assert [key for key, _ in read_matrices(f"scp:tail -n 2 {table}/x.scp |")] == IDS[2:]
    assert read_scp("false |") == {} and "the command failed with status 1: false" in capfd.readouterr().err
    done = subprocess.run(
        [sys.executable, "-c", COPY, "scp:-"],
        cwd=ROOT,
        input=(table / "x.scp").read_bytes(),
        capture_output=True,
        check=True,
    )
    assert done.stdout == (table / "x.ark").read_bytes()


def kinds(tmp_path: Path) -> dict[str, str]:
    """Places of a matrix in all forms that Kaldi stores, by their names; the archives are from copy-feats' writers."""
    matrix = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    places = {}
    writers = {"FM": FLOAT_MATRIX, "DM": DOUBLE_MATRIX, "text": FLOAT_MATRIX}
    for name, method in (("CM", SPEECH), ("CM2", TWO_BYTE_AUTO), ("CM3", ONE_BYTE_AUTO)):
        writers[name] = Kind("matrix", FLOAT_MATRIX.read, partial(write_compressed, method=method))
    for name, kind in writers.items():
        mode = "t," if name == "text" else ""
        with TableWriter(f"ark,{mode}scp:{tmp_path}/{name}.ark,{tmp_path}/{name}.scp", kind) as writer:
            writer.write("before", matrix)
            writer.write("a", matrix)
        places[name] = read_scp(tmp_path / f"{name}.scp")["a"]
        assert name == "text" or f"{name} ".encode() in (tmp_path / f"{name}.ark").read_bytes()
    return places


RANGES = {
    "": (slice(None), slice(None)),
    "[5:17]": (slice(5, 18), slice(None)),
    "[40:49,1:2]": (slice(40, 50), slice(1, 3)),
}


@pytest.mark.parametrize("ranges", RANGES)
def test_all_forms_and_ranges(tmp_path, ranges):
    """A part is the same as of the whole; its size is found without reading it."""
    for name, place in kinds(tmp_path).items():
        whole = read_matrix(place)
        part = whole[RANGES[ranges]]
        np.testing.assert_array_equal(read_matrix(place + ranges), part, err_msg=name)
        assert matrix_shape(place + ranges) == part.shape
        (tmp_path / "part.scp").write_text(f"a {place}{ranges}\nb {place}\n")
        by_rows = [
            (key, *(rows.read(count) for count in (3, 4, None)))
            for key, rows in read_table(f"scp:{tmp_path}/part.scp", MATRIX_ROWS)
        ]
        for (_, *blocks), expected in zip(by_rows, (part, whole), strict=True):
            np.testing.assert_array_equal(np.vstack(blocks), expected)
    with pytest.raises(TableError, match=r"the range \[5:60\] does not fit"):
        read_matrix(place + "[5:60]")


def test_training_takes_compressed_features_and_ranges(tmp_path):
    """What make_mfcc.sh writes of short utterances (CM2), and parts of recordings as segmentations name them."""
    task = make_task(tmp_path / "task")
    data = task / "data-train"
    feats = read_scp(data / "feats.scp")
    before = Corpus([data], task / "train_pdf.scp", None, cmvn="mean", context=(0, 0), tolerance=5, num_pdfs=12)
    with TableWriter(
        f"ark,scp:{tmp_path}/c.ark,{tmp_path}/c.scp",
        Kind("matrix", FLOAT_MATRIX.read, partial(write_compressed, method=TWO_BYTE_AUTO)),
    ) as writer:
        for id, place in feats.items():
            matrix = read_matrix(place)
            writer.write(id, np.vstack([matrix[:3] * 0, matrix, matrix[:7] * 0]))
    places = read_scp(tmp_path / "c.scp")
    lengths = {utterance.id: utterance.frames for utterance in before.utterances}
    (data / "feats.scp").write_text("".join(f"{id} {place}[3:{lengths[id] + 2}]\n" for id, place in places.items()))
    after = Corpus([data], task / "train_pdf.scp", None, cmvn="mean", context=(0, 0), tolerance=5, num_pdfs=12)
    assert after.contents == before.contents
    for one, other in zip(before.utterances, after.utterances, strict=True):
        np.testing.assert_allclose(after.features(other), before.features(one), atol=1e-3)


def test_blocks_are_written_as_a_matrix(tmp_path):
    matrix = np.arange(12, dtype=np.float32).reshape(6, 2)
    for kind in ("ark", "ark,t"):
        with TableWriter(f"{kind}:{tmp_path}/x.ark", MATRIX_ROWS) as writer:
            writer.write("a", Blocks(6, 2, iter([matrix[:4], matrix[4:]])))
        ((key, read),) = read_matrices(f"ark:{tmp_path}/x.ark")
        assert key == "a" and (read == matrix).all()
    with (
        pytest.raises(KaldiError, match="4 rows of a matrix of 6"),
        TableWriter(f"ark:{tmp_path}/y.ark", MATRIX_ROWS) as writer,
    ):
        writer.write("a", Blocks(6, 2, iter([matrix[:4]])))
    assert not (tmp_path / "y.ark").exists()


def test_kaldi_io_reads_what_we_write(tmp_path):
    matrix = np.arange(12, dtype=np.float32).reshape(6, 2)
    with TableWriter(f"ark:{tmp_path}/x.ark", MATRIX_ROWS) as writer:
        writer.write("a", Blocks(6, 2, iter([matrix])))
    ((key, read),) = kaldi_io.read_mat_ark(f"{tmp_path}/x.ark")
    assert key == "a" and (read == matrix).all()


@pytest.mark.parametrize("rows, columns", [(-2, -3), (2**31 - 1, 2**20), (3, 2)])
def test_damaged_header_is_named(tmp_path, rows, columns):
    header = b"\4" + rows.to_bytes(4, "little", signed=True) + b"\4" + columns.to_bytes(4, "little", signed=True)
    (tmp_path / "x.ark").write_bytes(b"a \0BFM " + header + bytes(12))
    with pytest.raises(TableError, match="x.ark:2: .*(damaged|truncated)"):
        read_matrix(f"{tmp_path}/x.ark:2")
