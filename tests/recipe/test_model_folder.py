"""A packed model tells all that is wrong with it at once, and nothing in it can become a command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from scripts import run, write

from local.model_folder import DESCRIPTION, ModelError, describe, open_model, word_error_rates

SEARCH = {"max_active": 3000, "beam": 13.0, "lattice_beam": 6.0}
CONTENTS = {
    "mfcc.conf": "# of MFCC; as trained\n--use-energy=false   # C0 | no energy\n--sample-frequency=16000",
    "nnet/final.pt": "weights",
    "nnet/network.onnx": "weights",
    "nnet/final.mdl": "transitions",
    "nnet/ali_train_pdf.counts": "[ 1 2 ]",
    "nnet/cmvn_opts": "--norm-means=true --norm-vars=true",
    "nnet/streams": "40 1 -",
    "gmm/final.mdl": "a model",
    "gmm/tree": "a tree",
    "gmm/splice_opts": "--left-context=3 --right-context=3",
    "graph/HCLG.fst": "a graph",
    "graph/words.txt": "<eps> 0",
    "graph/phones.txt": "<eps> 0",
    "graph/num_pdfs": "1500",
    "graph/phones/silence.csl": "1:2:3",
    "graph/phones/word_boundary.int": "1 nonword",
}


def folder(path: Path, **changes: str) -> Path:
    for name, text in (CONTENTS | changes).items():
        write(path / name, text)
    facts = {"name": "ligru", "lmwt": 9, "word_ins_penalty": 0.5}
    describe(path, decoding={"gmm": SEARCH, "network": SEARCH | {"beam": 10.0, "prior_scale": 0.4}}, **facts)
    return path


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("packed") / "a model")


def test_it_can_be_taken_anywhere(packed: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(packed, tmp_path / "moved")
    assert str(packed.parent) not in (moved / DESCRIPTION).read_text()
    write(moved / "NOTES.txt", "what the user keeps beside it")
    model = open_model(moved)
    assert (model.lmwt, model.word_ins_penalty, model.settings("network")["prior_scale"]) == (9, 0.5, 0.4)
    assert [(stream.dim, stream.factor, stream.encoder) for stream in model.streams] == [(40, 1, None)]
    done = run("python3", "-m", "local.model_folder", "check", moved)
    assert done.stdout.splitlines() == [
        "9 0.5",
        "--max-active 3000 --beam 13.0 --lattice-beam 6.0",
        "--max-active 3000 --beam 10.0 --lattice-beam 6.0 --prior-scale 0.4",
    ]


def test_all_that_is_wrong_is_told_at_once(packed: Path, tmp_path: Path) -> None:
    model = shutil.copytree(packed, tmp_path / "model")
    (model / "graph/HCLG.fst").unlink()
    (model / "gmm/final.mdl").write_text("a mo")
    (model / "nnet/final.pt").write_text("WEIGHTS OF ANOTHER")
    (model / "gmm/delta_opts").write_text("--delta-order=2")
    told = run("python3", "-m", "local.model_folder", "check", model, fails=True).stderr
    assert told.count("\n") == 1
    for problem in (
        "graph/HCLG.fst is missing",
        "gmm/final.mdl is truncated",
        "nnet/final.pt is not the file that was packed",
        "gmm/delta_opts is no part of it",
    ):
        assert problem in told


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nnet/cmvn_opts", "--norm-vars=true; touch hacked"),
        ("gmm/splice_opts", "--left-context=$(touch hacked)"),
        ("gmm/splice_opts", "--left-context=3 # ; touch hacked"),
        ("mfcc.conf", "--vtln-map=ark:touch hacked|"),
        ("mfcc.conf", "--write-utt2dur=/etc/passwd"),
        ("graph/phones/silence.csl", "1:2|touch"),
        ("nnet/streams", "40 1 ../../x 0a encoder"),
        ("nnet/streams", "40 1 base 0a /somewhere/else"),
    ],
)
def test_what_would_become_a_command(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(ModelError, match=f"{name} has contents that it cannot have"):
        folder(tmp_path, **{name: text})


def test_other_descriptions(packed: Path, tmp_path: Path) -> None:
    model = shutil.copytree(packed, tmp_path / "model")
    good = json.loads((model / DESCRIPTION).read_text())

    def problem_of(description: object) -> str:
        (model / DESCRIPTION).write_text(description if isinstance(description, str) else json.dumps(description))
        with pytest.raises(ModelError) as problem:
            open_model(model)
        return str(problem.value)

    assert "model.json is damaged" in problem_of('{"format": 1,')
    assert "not of format 1" in problem_of(good | {"format": 2})
    assert "lmwt is no number" in problem_of(good | {"lmwt": "9 --cmd evil"})
    assert "slope of the calibration is no number" in problem_of(good | {"calibration": {"offset": 1}})
    told = problem_of(good | {"decoding": {"gmm": SEARCH, "network": SEARCH}})
    assert "prior_scale of the network is no number" in told
    assert "names of files outside of the folder" in problem_of(
        good | {"files": good["files"] | {"../x": {"bytes": 1, "sha256": "0"}}}
    )
    assert "files that no model has: nnet/path.sh" in problem_of(
        good | {"files": good["files"] | {"nnet/path.sh": {"bytes": 1, "sha256": "0"}}}
    )
    files = {name: entry for name, entry in good["files"].items() if name != "nnet/streams"}
    assert "does not name nnet/streams" in problem_of(good | {"files": files})
    (model / DESCRIPTION).unlink()
    with pytest.raises(ModelError, match="no folder that local/pack_model.sh made"):
        open_model(model)


def test_word_error_rates(tmp_path: Path) -> None:
    for name, rate in (("dev", "0.54"), ("test_noisy", "19.47"), ("dev_large", "0.5"), ("dev_whisper", "0.4")):
        write(
            tmp_path / f"decode_{name}/scoring_kaldi/best_wer", f"%WER {rate} [ 5 / 931, 1 ins, 2 del, 2 sub ] wer_6_0"
        )
    (tmp_path / "decode_test").mkdir()
    assert word_error_rates(tmp_path) == {"dev": 0.54, "test_noisy": 19.47}
    assert word_error_rates(tmp_path, "_large") == {"dev": 0.5}
    assert word_error_rates(tmp_path, "_whisper") == {"dev": 0.4}


def test_packing_tells_all_that_is_missing(tmp_path: Path) -> None:
    write(tmp_path / "exp/ligru/final.pt", "weights")
    write(tmp_path / "exp/ligru/streams", "40 1 -")
    told = run("local/pack_model.sh", tmp_path / "exp/ligru", tmp_path / "model", fails=True).stderr
    for name in ("ligru/final.mdl", "tri3b/final.mdl", "tri3b/graph/HCLG.fst", "ligru/phones.txt", "tri3b/tree"):
        assert str(tmp_path / "exp" / name) in told
    assert "ligru/final.pt" not in told
    write(tmp_path / "photos/child.jpg", "mine")
    told = run("local/pack_model.sh", tmp_path / "exp/ligru", tmp_path / "photos", fails=True).stderr
    assert "is there already, and is no packed model" in told and (tmp_path / "photos/child.jpg").exists()
