"""What training by lattice-free MMI reads: supervisions (test_golden.py compares the programs with Kaldi)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from embedded import GOLDEN

from kaldi.base.log import KaldiError
from kaldi.chain.supervision import SUPERVISION, Supervision
from kaldi.fstext.fst import Fst
from kaldi.fstext.io import read_fst
from kaldi.fstext.text import lines_of, parse
from kaldi.util.table import TableWriter, read_table

KALDI = GOLDEN / "chain"
LINES = ["0 1 2 2", "0 2 3 3 0.5", "1 3 1 1", "2 3 1 1", "3 0.25"]


def same_fst(first: Fst, second: Fst) -> bool:
    return list(lines_of(first)) == list(lines_of(second))


def test_kaldis_supervision_in_text_and_binary(tmp_path: Path) -> None:
    (utterance, text), (key, binary) = (
        next(read_table(f"ark:{KALDI / file}", SUPERVISION)) for file in ("supervision.txt", "supervision.ark")
    )
    assert key == utterance
    assert same_fst(text.fst, binary.fst)
    assert (text.weight, text.num_sequences, text.frames_per_sequence, text.label_dim) == (1.0, 1, 19, 40)
    assert text.state_times().max() == text.num_frames == 19

    for form, wanted in (("ark,t", "supervision.txt"), ("ark", "supervision.ark")):
        with TableWriter(f"{form}:{tmp_path / wanted}", SUPERVISION) as writer:
            writer.write(key, binary)
    assert (tmp_path / "supervision.txt").read_bytes() == (KALDI / "supervision.txt").read_bytes()
    written, wanted_bytes = (np.fromfile(d / "supervision.ark", np.uint8) for d in (tmp_path, KALDI))
    assert (written != wanted_bytes).sum() <= 8  # the properties, which OpenFst finds out itself


def test_costs_and_final_costs_of_a_supervision(tmp_path: Path) -> None:
    supervision = Supervision(0.5, 2, 1, 3, parse(LINES, "lines"))
    with TableWriter(f"ark:{tmp_path / 'sup'}", SUPERVISION) as writer:
        for key in ("a", "b"):
            writer.write(key, supervision)
    read = dict(read_table(f"ark:{tmp_path / 'sup'}", SUPERVISION))
    assert list(read) == ["a", "b"]
    assert read["b"].weight == 0.5
    assert same_fst(read["b"].fst, supervision.fst)
    np.testing.assert_array_equal(read["b"].state_times(), [0, 1, 1, 2])


@pytest.mark.parametrize(
    "lines",
    [["0 1 4 4", "1 2 1 1", "2"], ["0 1 2 2", "1"], ["0 1 1 1", "0 2 1 1", "1 2 1 1", "2"], ["0 1 0 0", "1 2 1 1"]],
)
def test_an_acceptor_that_is_no_supervision(lines: list[str]) -> None:
    with pytest.raises(KaldiError, match="2 frames with labels 1..3"):
        Supervision(1.0, 1, 2, 3, parse(lines, "lines")).state_times()


def test_a_truncated_or_foreign_supervision_is_named(tmp_path: Path) -> None:
    content = (KALDI / "supervision.ark").read_bytes()
    foreign = content.replace(b"compact", b"compost")
    for damaged, message in ((content[:-60], "truncated"), (foreign, "compost_acceptor")):
        (tmp_path / "sup").write_bytes(damaged)
        with pytest.raises(KaldiError, match=message):
            list(read_table(f"ark:{tmp_path / 'sup'}", SUPERVISION))


def test_a_file_of_a_compact_acceptor_is_an_fst(tmp_path: Path) -> None:
    content = (KALDI / "supervision.ark").read_bytes()
    start, end = content.index(b"\xd6\xfd\xb2\x7e"), content.index(b"</Supervision>")
    (tmp_path / "fst").write_bytes(content[start:end])
    supervision = next(read_table(f"ark:{KALDI / 'supervision.txt'}", SUPERVISION))[1]
    assert same_fst(read_fst(str(tmp_path / "fst")), supervision.fst)
