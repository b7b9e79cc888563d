"""Bad input gives exit status 1 and one line that names the file and the entry, and leaves no output behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kaldi.main import main

FEATS = "ark:compute-mfcc-feats/mfcc.ark"
GRAPH = "add-self-loops/HCLG.fst"
CASES = [
    ("compute-mfcc-feats scp:truncated.scp OUT", "truncated.wav: .*; entry 'utt'"),
    ("compute-mfcc-feats scp:foreign.scp OUT", "foreign.wav: not a wave file .*; entry 'utt'"),
    ("compute-mfcc-feats scp:missing.scp OUT", "cannot open missing.wav: .*; entry 'utt'"),
    ("compute-mfcc-feats scp:failing.scp OUT", "the command failed with status 1: false .*; entry 'utt'"),
    ("compute-mfcc-feats ark:empty OUT", "no features were computed"),
    ("compute-mfcc-feats --nonsense=1 scp:foreign.scp OUT", "unknown option --nonsense"),
    ("compute-mfcc-feats --num-ceps=30 scp:foreign.scp OUT", "--num-ceps=30"),
    ("copy-feats ark:truncated.ark OUT", "truncated.ark: the file ends .*; entry 's1-02'"),
    ("copy-feats ark:empty OUT", "no feature matrices were processed"),
    ("copy-feats FEATS ark:no/such/folder/out", "cannot write no/such/folder/out"),
    ("apply-cmvn FEATS FEATS OUT", "s1-00: normalisation statistics of shape .* do not fit"),
    ("splice-feats --left-context=-1 FEATS OUT", "--left-context=-1"),
    ("transform-feats est-lda/lda.mat FEATS OUT", "s1-00 is left out: a transform of 40x91 does not fit"),
    ("select-feats 0-99 FEATS OUT", "'0-99' does not fit features of dimension 13"),
    ("est-lda out.ark tri2b/final.mdl", "tri2b/final.mdl: expected <LDAACCS>"),
    ("compose-transforms est-lda/lda.mat est-lda/lda.mat out.ark", "do not fit together"),
    ("gmm-est-fmllr tri2b/final.mdl FEATS ali-to-post/post.ark OUT", "not an rspecifier"),
    ("gmm-est-fmllr tri2b/final.mdl FEATS ark:ali-to-post/post.ark OUT", "s1-00: features of dimension 13"),
    ("gmm-acc-stats-ali tri2b/final.mdl FEATS ark:empty out.acc", "s1-00 is left out: no alignment in ark:empty"),
    ("acc-tree-stats tri2b/final.mdl FEATS ark:other.ali out", "s1-00 is left out: alignment of 1 frames, .* of "),
    ("acc-lda tri2b/final.mdl FEATS ark:mono_ali/ali.ark out.ark", "ali.ark: not a posterior; entry 's1-00'"),
    (
        "latgen-faster-mapped tri2b/final.mdl GRAPH ark:nan.ark OUT",
        "utterance utt: the log-likelihoods of frame 1 are not",
    ),
    (
        "latgen-faster-mapped tri2b/final.mdl GRAPH ark:inf.ark OUT",
        "utterance utt: the log-likelihoods of frame 1 are not",
    ),
    ("compute-wer --mode=some ark:a ark:b", "--mode=some"),
]


@pytest.mark.parametrize(("command", "message"), CASES, ids=[command for command, _ in CASES])
def test_bad_input(
    command: str,
    message: str,
    golden: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
) -> None:
    for folder in (golden / "out").iterdir():
        (tmp_path / folder.name).symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    archive = (golden / "out/compute-mfcc-feats/mfcc.ark").read_bytes()
    Path("truncated.ark").write_bytes(archive[:20000])
    Path("truncated.wav").write_bytes((golden / "data/wav/s1-00.wav").read_bytes()[:30])
    Path("foreign.wav").write_bytes(b"a foreign file")
    Path("empty").touch()
    for name in ("truncated", "foreign", "missing"):
        Path(f"{name}.scp").write_text(f"utt {name}.wav\n")
    Path("other.ali").write_text("s1-00 1\n")
    Path("failing.scp").write_text("utt false |\n")
    for value in ("nan", "inf"):
        pdfs = 104  # of tri2b
        Path(f"{value}.ark").write_text(f"utt [\n{'-1 ' * pdfs}\n{'-1 ' * (pdfs - 1)}{value} ]\n")
    before = set(tmp_path.iterdir())
    words = command.replace("FEATS", FEATS).replace("GRAPH", GRAPH).replace("OUT", "ark:out.ark").split()
    assert main(words[0], words[1:]) == 1
    errors = capfd.readouterr().err
    assert "Traceback" not in errors
    assert "unexpected" not in errors
    capture = [line for line in errors.splitlines() if line.startswith(("ERROR", "WARNING"))]
    assert any(re.search(message, line) for line in capture), errors
    assert set(tmp_path.iterdir()) == before
