"""Keys beyond ASCII, and the sources of an scp."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nnet.ligru.tables import MatrixWriter, TableError, read_matrices

ROOT = Path(__file__).parents[2]
IDS = ["müller", "kız", "voilà", "子供\u3000一"]  # à and the wide space end in bytes that are white space in Latin-1
COPY = """
import sys
from nnet.ligru.tables import MatrixWriter, read_matrices
with MatrixWriter("ark:-") as writer:
    for key, matrix in read_matrices(sys.argv[1]):
        writer.write(key, matrix)
"""


@pytest.fixture
def table(tmp_path):
    """An archive and an scp with file names like the keys."""
    lines = []
    for id in IDS:
        with MatrixWriter(f"ark:{tmp_path}/{id}.ark") as writer:
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


def test_scp_of_a_command(table):
    assert [key for key, _ in read_matrices(f"scp:tail -n 2 {table}/x.scp |")] == IDS[2:]
    with pytest.raises(TableError, match="false: failed with status 1"):
        list(read_matrices("scp:false |"))
    done = subprocess.run(
        [sys.executable, "-c", COPY, "scp:-"],
        cwd=ROOT,
        input=(table / "x.scp").read_bytes(),
        capture_output=True,
        check=True,
    )
    assert done.stdout == (table / "x.ark").read_bytes()


def test_outputs_that_are_not_written():
    for wspecifier in ("ark,scp:x.ark,x.scp", "ark,t:x.ark", "scp:x.scp", "ark:"):
        with pytest.raises(TableError, match="is not a wspecifier for a binary archive"):
            MatrixWriter(wspecifier)
