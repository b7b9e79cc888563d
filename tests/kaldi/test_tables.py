"""Tables as Kaldi has them: what a pipe does to objects, options of rspecifiers, ranges, text forms, links, bytes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from embedded import BIN, Run

from kaldi.feat.wave import WAVE, Wave
from kaldi.hmm.posterior import POSTERIOR, read_posterior
from kaldi.main import main
from kaldi.matrix.io import FLOAT_MATRIX
from kaldi.util.kinds import INT_VECTOR, TOKEN_VECTOR
from kaldi.util.table import TableWriter, read_table

KEYS = ("a", "b", "c")
MATRICES = {key: np.random.default_rng(i).standard_normal((4, 3)).astype(np.float32) for i, key in enumerate(KEYS)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with tables of matrices and integers, good and bad; embedded programs are on PATH."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
    with TableWriter("ark,scp:m.ark,m.scp", FLOAT_MATRIX) as writer:
        for key, matrix in MATRICES.items():
            writer.write(key, matrix)
    with TableWriter("ark:i.ark", INT_VECTOR) as writer:
        for key in KEYS:
            writer.write(key, np.arange(3))
    archive = Path("m.ark").read_bytes()
    Path("cut.ark").write_bytes(archive[:-5])
    Path("twice.ark").write_bytes(archive + archive)
    lines = Path("m.scp").read_text().splitlines(keepends=True)
    Path("reversed.scp").write_text("".join(lines[::-1]))
    Path("twice.scp").write_text("".join(lines + lines[1:2]))
    Path("gap.scp").write_text("".join(lines).replace("b m.ark", "b missing.ark"))
    Path("more.scp").write_text("".join(lines) + lines[0].replace("a ", "d ", 1))
    Path("bad.scp").write_text(lines[0] + "b \n" + lines[2])
    Path("empty").touch()
    Path("u2s").write_text("a a\n")
    Path("cut.txt").write_text("a 1\nb ")
    Path("large.txt").write_text("a 3000000000\n")
    Path("range.txt").write_text("a [ 1e38 ]\nb [ 1e39 ]\n")
    Path("matrix.txt").write_text("a [ 1 2\n 3 4 ]\n")
    Path("rows.txt").write_text("a [ 1 2 ; 3 4 ]\n")
    Path("posterior.txt").write_text("a [ 1 0.5 ] [ 2 0.5\n")
    Path("segments").write_text("a-1 a 0 0.2\n")
    Path("missing.scp").write_text("a missing.wav\n")
    with TableWriter("ark:stereo.ark", WAVE) as writer:
        writer.write("a", Wave(np.ones((2, 8000), np.int16), 16000.0))
    return tmp_path


def run(command: str) -> int:
    """Run one program in this process: words are separated by blanks, `_` stands for a blank within a word."""
    words = [word.replace("_", " ") for word in command.split()]
    return main(words[0], words[1:])


REFUSED = [
    ("copy-vector ark:copy-feats_ark:m.ark_ark:-_| ark:o", "copy-feats ark:m.ark .*: expected FV or DV, found 'FM'"),
    ("copy-int-vector ark:copy-feats_ark:m.ark_ark:-_| ark:o", "entry 'a', read as integer vector"),
    ("feat-to-len ark:copy-int-vector_ark:i.ark_ark:-_| ark:o", "entry 'a', read as matrix"),
    ("copy-feats ark:cat_m.ark_|_copy-vector_ark:-_ark:-_|_copy-feats_ark:-_ark:-_| ark:o", "expected FV or DV"),
    ("copy-feats ark:copy-feats_ark:cut.ark_ark:-_| ark:o", "cut.ark: the file ends .*; entry 'c'"),
    ("paste-feats scp:reversed.scp ark,s,cs:m.ark ark:o", "m.ark: 'b' is looked up after 'c': not in sorted order"),
    ("paste-feats scp:m.scp scp:gap.scp ark:o", "cannot open missing.ark: .*; entry 'b'"),
    ("paste-feats scp:m.scp scp:twice.scp ark:o", "twice.scp: 'b' is there more than once"),
    ("paste-feats scp:more.scp ark:twice.ark ark:o", "twice.ark: 'a' is there more than once"),
    ("paste-feats scp:more.scp ark,s:twice.ark ark:o", "twice.ark: 'a' is there more than once"),
    ("paste-feats ark:twice.ark ark,o:m.ark ark:o", "ark,o:m.ark: 'a' is looked up again, but option o"),
    ("copy-vector ark:range.txt ark:o", "range.txt: a vector .* holds what is not a number.*; entry 'b'"),
    ("apply-cmvn --norm-means=false ark:m.ark ark:empty ark:o", "no utterances were processed"),
    ("copy-feats scp:bad.scp ark:o", "bad.scp: line 2 is not 'key rxfilename': 'b '"),
    ("subset-feats --n=-1 ark:m.ark ark:o", "--n=-1"),
    ("transform-feats --utt2spk=ark:u2s ark:m.ark ark:m.ark ark:o", "ark:u2s has no entry 'b'"),
    ("copy-vector ark:matrix.txt ark:o", "matrix.txt: a matrix .* where a vector was expected; entry 'a'"),
    ("copy-int-vector ark:large.txt ark:o", "large.txt: 3000000000 does not fit .*; entry 'a'"),
    ("copy-int-vector ark:cut.txt ark:o", "cut.txt: the file ends .*; entry 'b'"),
    ("weight-silence-post 0.5 1 MODEL ark:posterior.txt ark:o", "posterior.txt: not a posterior .*; entry 'a'"),
    ("extract-segments scp:missing.scp segments ark:o", "cannot open missing.wav: .*; entry 'a'"),
    ("extract-segments ark:stereo.ark segments ark:o", "segments: segment a-1: the recording a has several channels"),
    ("lattice-prune --beam=-1 ark:LATTICES ark:o", "--beam=-1: expected more than 0"),
    ("lattice-determinize-pruned --beam=0 ark:LATTICES ark:o", "--beam=0: expected more than 0"),
    ("lattice-copy --include=empty ark:LATTICES ark:o", "no lattices were processed"),
    ("fstdeterminizestar --max-states=10 FST o", "LG0.fst: Determinization aborted since passed 10 states"),
]


@pytest.mark.parametrize(("command", "message"), REFUSED, ids=[command for command, _ in REFUSED])
def test_refused(command: str, message: str, folder: Path, golden: Path, capfd: pytest.CaptureFixture) -> None:
    for link, target in (
        ("MODEL", "tri2b/final.mdl"),
        ("LATTICES", "gmm-latgen-faster/lat.ark"),
        ("FST", "fsttablecompose/LG0.fst"),
    ):
        (folder / target.replace("/", "-")).symlink_to(golden / "out" / target)
        command = command.replace(link, target.replace("/", "-"))
    before = set(folder.iterdir())
    assert run(command) == 1
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("ERROR")]
    assert len(errors) == 1
    assert re.search(message, errors[0]), errors
    assert set(folder.iterdir()) == before


def test_options_p_of_pipes_and_scripts(folder: Path) -> None:
    assert run("copy-feats ark,p:copy-feats_ark:cut.ark_ark:-_| ark:o") == 0
    assert [key for key, _ in read_table("ark:o", FLOAT_MATRIX)] == ["a", "b"]
    assert run("copy-feats ark:cat_cut.ark_|_copy-feats_ark,p:-_ark:-_| ark:o") == 0
    assert [key for key, _ in read_table("ark:o", FLOAT_MATRIX)] == ["a", "b"]
    assert run("paste-feats scp:m.scp scp,p:gap.scp ark:o") == 0
    assert [key for key, _ in read_table("ark:o", FLOAT_MATRIX)] == ["a", "c"]


@pytest.mark.slow
def test_a_pipe_in_the_process_does_what_a_real_one_does(folder: Path, kaldi: Run) -> None:
    """Text, compression, standard input as a script: as through the shell, where `;` forbids a pipe in the process."""
    for command in (
        "copy-feats --compress=true ark:m.ark ark:- |",
        "copy-feats ark:m.ark ark,t:- |",
        "copy-feats --compress=true ark:m.ark ark:- | copy-feats ark:- ark:- |",
        "cat m.scp | copy-feats scp:- ark:- |",
    ):
        done = kaldi(f"copy-feats 'ark:{command}' ark:1 && copy-feats 'ark:true; {command}' ark:2 && cmp 1 2", folder)
        assert done.returncode == 0, done.stderr.decode()
    assert run("compute-wer ark:copy-int-vector_ark:i.ark_ark,t:-_| ark:copy-int-vector_ark:i.ark_ark,t:-_|") == 0


FAILING = [  # what real Kaldi gives for these: warnings, or an error
    ("copy-feats scp:pipe.scp ark:o", 0, "ac"),
    ("paste-feats scp:m.scp scp:pipe.scp ark:o", 0, "ac"),
    ("copy-feats scp:cat_m.scp;_exit_3_| ark:o", 0, "abc"),
    ("subset-feats --include=echo_b;_exit_3_| ark:m.ark ark:o", 0, "b"),
    ("subset-feats --n=1 ark:cat_m.ark;_exit_3_| ark:o", 0, "a"),
    ("paste-feats scp:m.scp ark:head_-c_65_m.ark;_exit_3_| ark:o", 0, "a"),
    ("paste-feats scp:m.scp ark,s,cs:head_-c_65_m.ark;_exit_3_| ark:o", 0, "a"),
    ("paste-feats scp:m.scp ark:copy-feats_ark:cut.ark_ark:-_| ark:o", 0, "ab"),
    ("copy-feats ark,p:cat_m.ark;_exit_3_| ark:o", 0, "abc"),
    ("copy-feats ark:cat_m.ark;_exit_3_| ark:o", 1, ""),
    ("copy-feats ark:copy-feats_ark:cut.ark_ark:-_| ark:o", 1, ""),
]


@pytest.mark.parametrize(("command", "status", "keys"), FAILING, ids=[command for command, *_ in FAILING])
def test_commands_that_fail(command: str, status: int, keys: str, folder: Path, capfd: pytest.CaptureFixture) -> None:
    """What they wrote is read. Their status matters only at the end of an archive that is read from end to end."""
    Path("pipe.scp").write_text("a tail -c +3 m.ark; exit 3 |\nc tail -c +133 m.ark; exit 4 |\n")
    assert run(command) == status
    told = "the command failed with status 3: " in capfd.readouterr().err
    assert told == (
        ("exit" in command or "pipe" in command) and "--n=1" not in command
    )  # --n=1: it is not read to its end
    assert "".join(key for key, _ in read_table("ark:o", FLOAT_MATRIX)) == keys if keys else not Path("o").exists()


def test_sorted_look_ups_may_repeat_and_skip(folder: Path) -> None:
    Path("u2s").write_text("1 a\n2 a\n3 c\n")
    with TableWriter("ark:f", FLOAT_MATRIX) as writer:
        for key in "123":
            writer.write(key, MATRICES["a"])
    assert run("transform-feats --utt2spk=ark:u2s ark,s,cs:m.ark ark:f ark:o") == 0
    assert len(list(read_table("ark:o", FLOAT_MATRIX))) == 3


@pytest.mark.parametrize("line", ["1 a b", "1 "])
def test_a_token_is_one_word(line: str, folder: Path, capfd: pytest.CaptureFixture) -> None:
    Path("u2s").write_text(f"{line}\n")
    with TableWriter("ark:f", FLOAT_MATRIX) as writer:
        writer.write("1", MATRICES["a"])
    assert run("transform-feats --utt2spk=ark:u2s ark:m.ark ark:f ark:o") == 1
    assert "u2s: unexpected value" in capfd.readouterr().err


def test_ranges(folder: Path, capfd: pytest.CaptureFixture) -> None:
    offset = Path("m.scp").read_text().split()[1]
    for ranges, wanted in (("0:1", (2, 3)), (":,1:2", (4, 2)), ("1:6", (3, 3)), ("0:1,:", (2, 3))):
        assert run(f"copy-feats {offset}[{ranges}] o") == 0
        Path("o.scp").write_text(f"a o\nb {offset}[{ranges}]\n")
        assert [matrix.shape for _, matrix in read_table("scp:o.scp", FLOAT_MATRIX)] == [wanted, wanted]
    assert "[1:6] goes beyond the size of 4" in capfd.readouterr().err
    for ranges in ("0:7", "4:5", "0:1,0:3", "0:1,0:2,0:1", "2:1", "0", "", "0:1,"):
        assert run(f"copy-feats {offset}[{ranges}] o2") == 1
        errors = capfd.readouterr().err
        assert f"[{ranges}]" in errors
        assert "unexpected" not in errors


def test_text_forms(folder: Path) -> None:
    assert run("copy-feats ark:rows.txt ark:o") == 0
    np.testing.assert_array_equal(dict(read_table("ark:o", FLOAT_MATRIX))["a"], [[1, 2], [3, 4]])
    Path("o").write_text("a [ 1 0.5 2 0.25 ] [ ] [ 3 1]\nb \n")
    entries = dict(read_table("ark:o", POSTERIOR))
    assert list(entries["a"]) == [[(1, 0.5), (2, 0.25)], [], [(3, 1.0)]]
    assert len(entries["b"]) == 0
    assert POSTERIOR.read is read_posterior


def test_numbers_in_text(folder: Path) -> None:
    """Kaldi's results for powers of ten, what is not a number or infinite, nothing, and lines of other systems."""
    Path("v").write_text("a [ 1e-3 -2.5E+2 NaN Inf 1e-50 ]\r\nb [ ]\n")
    assert run("copy-vector ark:v ark,t:o") == 0
    assert Path("o").read_text() == "a  [ 0.001 -250 nan inf 0 ]\nb  [ ]\n"
    Path("i").write_text("a +1 007 -3\r\nb \nc\nd 5")
    assert run("copy-int-vector ark:copy-int-vector_ark:i_ark:-_| ark,t:o") == 0
    assert Path("o").read_text() == "a 1 7 -3 \nb \nc \nd 5 \n"


def test_blanks_in_scripts(folder: Path, capfd: pytest.CaptureFixture) -> None:
    """Kaldi takes them as well, but ends at the first blank line."""
    a, b, c = Path("m.scp").read_text().splitlines()
    Path("blanks.scp").write_text(f"  {a}  \n\n{b.replace(' ', chr(9))}\t\r\n{c}\n\n")
    for command in ("copy-feats scp:blanks.scp ark:o", "paste-feats scp:blanks.scp ark:o"):
        assert run(command.replace("paste-feats", "paste-feats scp:m.scp")) == 0
        assert "".join(key for key, _ in read_table("ark:o", FLOAT_MATRIX)) == "abc"
        assert "blanks.scp: line 2 is blank" in capfd.readouterr().err


EMPTY = "a [ ]\nb [\n 1 2\n 3 4 ]\nc [\n]\nd [ ; ]\n"


def test_matrices_without_rows(folder: Path) -> None:
    """Kaldi's bytes, whatever the form of the input; nowhere do such matrices have columns."""
    Path("empty.txt").write_text(EMPTY)
    nothing = b"\0BFM \4\0\0\0\0\4\0\0\0\0"
    matrix = b"\0BFM \4\2\0\0\0\4\2\0\0\0" + np.array([1, 2, 3, 4], "<f4").tobytes()
    binary = b"a " + nothing + b"b " + matrix + b"c " + nothing + b"d " + nothing
    Path("columns.ark").write_bytes(binary.replace(nothing, nothing[:-4] + b"\3\0\0\0"))
    for command in (
        "copy-feats ark:empty.txt ark:o",
        "copy-feats ark:columns.ark ark:o",
        "copy-feats ark:copy-feats_ark:empty.txt_ark,t:-_| ark:o",
        "copy-feats ark:copy-feats_--compress=true_--compression-method=3_ark:empty.txt_ark:-_| ark:o",
        "copy-matrix --scale=1 ark:empty.txt ark:o",
    ):
        assert run(command) == 0
        assert Path("o").read_bytes() == binary
    for command in ("copy-feats ark:empty.txt ark,t:o", "copy-matrix ark:columns.ark ark,t:o"):
        assert run(command) == 0
        assert Path("o").read_text() == "a  [ ]\nb  [\n  1 2 \n  3 4 ]\nc  [ ]\nd  [ ]\n"
    assert run("copy-matrix --apply-softmax-per-row=true ark:empty.txt ark,t:o") == 0
    assert Path("o").read_text().startswith("a  [ ]\nb  [\n  0.268941")
    assert run("feat-to-dim ark:empty.txt ark,t:o") == 0
    assert Path("o").read_text().split() == ["a", "0", "b", "2", "c", "0", "d", "0"]
    Path("one.txt").write_text(" [ ]\n")
    assert run("copy-feats one.txt o") == 0
    assert Path("o").read_bytes() == nothing


def test_text_is_bytes(folder: Path, capfdbinary: pytest.CaptureFixture) -> None:
    """Other bytes are other words, in whatever encoding; only spaces of ASCII separate words."""
    Path("r").write_bytes(b"\xe4 gr\xfc\xdfe x\xc2\xa0y\n")
    Path("h").write_bytes(b"\xe4 gr\xfc\xdee x\xc2\xa0y\n")
    assert run("compute-wer ark:r ark:h") == 0
    assert b"[ 1 / 2, 0 ins, 0 del, 1 sub ]" in capfdbinary.readouterr().out
    assert run("align-text ark:r ark:h ark:o") == 0
    assert Path("o").read_bytes() == b"\xe4 gr\xfc\xdfe gr\xfc\xdee ; x\xc2\xa0y x\xc2\xa0y \n"
    assert [words for _, words in read_table("ark:r", TOKEN_VECTOR)] == [["gr\udcfc\udcdfe", "x\xa0y"]]
    Path("f.scp").write_bytes(b"\xe4 m.ark:2\n")
    assert run("copy-feats scp:f.scp ark,scp:o,o.scp") == 0
    assert Path("o.scp").read_bytes() == b"\xe4 o:2\n"
    Path("f.scp").write_bytes(b"\xe4 \xe4.ark\n")
    assert run("copy-feats scp:f.scp ark:o") == 1
    assert b"cannot open \xe4.ark" in capfdbinary.readouterr().err


def test_an_output_keeps_links(folder: Path) -> None:
    Path("disk").mkdir()
    Path("link.ark").symlink_to("disk/far.ark")
    for _ in range(2):
        assert run("copy-feats ark:m.ark ark,scp:link.ark,o.scp") == 0
        assert Path("link.ark").is_symlink()
        assert Path("disk/far.ark").read_bytes() == Path("m.ark").read_bytes()
        assert [path.name for path in Path("disk").iterdir()] == ["far.ark"]
    assert Path("o.scp").read_text().startswith("a link.ark:")


def test_options_as_in_kaldi(folder: Path, golden: Path, capfd: pytest.CaptureFixture) -> None:
    Path("conf").write_bytes(b"--compress=TRUE # gr\xfc\xdfe\n")
    assert run("copy-feats --config=conf --Print-Args=False ark:m.ark ark:1") == 0
    assert run("copy-feats --compress=true ark:m.ark ark:2") == 0
    assert Path("1").read_bytes() == Path("2").read_bytes() != Path("m.ark").read_bytes()
    Path("words").write_text("<eps> 0\n<s> 1\n</s> 2\n")
    for most, shown in ((-1, 152), (2, 3)):  # the last line counts those that are not shown
        capfd.readouterr()
        assert run(f"arpa2fst --max-arpa-warnings={most} --read-symbol-table=words {golden}/lm.arpa fst") == 0
        assert capfd.readouterr().err.count("WARNING") == shown


def test_closed_standard_streams(folder: Path, kaldi: Run) -> None:
    done = kaldi("copy-feats ark:m.ark ark:o <&- >&- && cmp o m.ark && ! feat-to-len ark:m.ark >&-", folder)
    assert done.returncode == 0, done.stderr.decode()
    assert b"standard output is closed" in done.stderr


def test_text_that_cannot_be_written(folder: Path, kaldi: Run) -> None:
    done = kaldi("feat-to-dim --print-args=false ark:m.ark - > dim && ! feat-to-dim --help > /dev/full", folder)
    assert done.returncode == 0 and Path(folder / "dim").read_text().strip().isdigit()
    assert done.stderr.decode().splitlines() == ["ERROR (feat-to-dim[embedded]) output: No space left on device"]


def test_terminated_programs_leave_no_file(folder: Path) -> None:
    process = subprocess.Popen([sys.executable, BIN / "copy-feats", "ark:-", "ark:o"], stdin=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not list(folder.glob("o.tmp*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)  # until it waits for its input
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) != 0
    process.stdin.close()
    assert not list(folder.glob("o*"))
