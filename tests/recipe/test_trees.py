"""Steps refuse graphs, models, trees and alignments that are not of one tree, as Kaldi's decode.sh does by num_pdfs.

The models are those that real Kaldi trained for tests/kaldi: mono has 79 pdfs, tri1 has 112.
"""

import subprocess
from pathlib import Path

import pytest
from recipe_copy import golden, link_recipe


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """exp/mono and exp/tri1 with model and tree, exp/mixed with the model of one and the tree of the other."""
    directory = tmp_path_factory.mktemp("trees")
    link_recipe(directory)
    for system in ("mono", "tri1"):
        (directory / "exp" / system).mkdir(parents=True)
        for name in ("final.mdl", "tree"):
            (directory / "exp" / system / name).write_bytes(golden(f"out/{system}/{name}"))
    (directory / "exp/mixed").mkdir()
    (directory / "exp/mixed/final.mdl").symlink_to("../tri1/final.mdl")
    (directory / "exp/mixed/tree").symlink_to("../mono/tree")
    for name in ("final.pt", "ali.1.gz", "num_jobs", "phones.txt", "final.alimdl"):
        (directory / "exp/mixed" / name).write_text("1\n")
    # What the steps ask for; none of it is read before the trees are compared.
    for name in ("HCLG.fst", "words.txt", "phones/silence.csl", "lat.1.gz"):
        write(directory / "exp/mono/graph" / name, "1\n")
    write(directory / "exp/mono/graph/num_pdfs", "79\n")
    for name in ("feats.scp", "cmvn.scp", "text", "utt2spk"):
        write(directory / "data" / name, "u1 s1\n")
    for name in ("L.fst", "L_disambig.fst", "G.fst", "topo", "oov.int", "words.txt", "phones.txt"):
        write(directory / "lang" / name, "1\n")
    for name in ("roots.int", "context_indep.csl", "silence.csl", "disambig.int"):
        write(directory / "lang/phones" / name, "1\n")
    write(directory / "child.wav", "RIFF")
    return directory


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


@pytest.mark.parametrize(
    ("command", "first", "second"),
    [
        ("steps/decode.sh exp/mono/graph data exp/tri1/out", "exp/mono/graph", "exp/tri1/final.mdl"),
        ("steps/decode_fmllr.sh exp/mono/graph data exp/tri1/out", "exp/mono/graph", "exp/tri1/final.mdl"),
        (
            "steps/decode_fmllr.sh --si-dir exp/tri1/out exp/mono/graph data exp/mono/out",
            "exp/mono/graph",
            "exp/tri1/final.mdl",
        ),
        ("steps/nnet/decode.sh exp/mono/graph data exp/tri1 exp/tri1/out", "exp/mono/graph", "exp/tri1/final.mdl"),
        (
            "local/transcribe.sh --gmm-dir exp/mono --dir exp/tri1/out exp/mixed child.wav",
            "exp/mono/graph",
            "exp/mixed/final.mdl",
        ),
        ("steps/align_si.sh data lang exp/mixed exp/tri1/out", "exp/mixed/tree", "exp/mixed/final.mdl"),
        ("steps/align_fmllr.sh data lang exp/mixed exp/tri1/out", "exp/mixed/tree", "exp/mixed/final.mdl"),
        ("steps/train_deltas.sh 9 9 data lang exp/mixed exp/tri1/out", "exp/mixed/tree", "exp/mixed/final.mdl"),
        ("steps/train_lda_mllt.sh 9 9 data lang exp/mixed exp/tri1/out", "exp/mixed/tree", "exp/mixed/final.mdl"),
        ("steps/train_sat.sh 9 9 data lang exp/mixed exp/tri1/out", "exp/mixed/tree", "exp/mixed/final.mdl"),
        (
            "steps/nnet/train_ligru.sh data data exp/mixed exp/mixed exp/tri1/out",
            "exp/mixed/tree",
            "exp/mixed/final.mdl",
        ),
        ("utils/mkgraph.sh lang exp/mixed exp/tri1/out", "exp/mixed/tree", "exp/mixed/final.mdl"),
    ],
)
def test_of_two_trees(recipe: Path, command: str, first: str, second: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f". ./path.sh && {command}"], cwd=recipe, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1
    assert f"{first} has 79 pdfs, {second} has 112: they are of different trees" in done.stderr
    assert not (recipe / "exp/tri1/out").exists()


def test_of_one_tree(recipe: Path) -> None:
    script = ". ./path.sh; . steps/common_trees.sh; require_one_tree exp/mono/{graph,tree,final.mdl} exp/tri1"
    assert subprocess.run(["bash", "-c", script], cwd=recipe, capture_output=True, check=False).returncode == 0
    done = subprocess.run(
        ["bash", "-c", f"{script} lang/topo"], cwd=recipe, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "lang/topo is neither a model nor a tree" in done.stderr
