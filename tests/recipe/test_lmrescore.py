"""A large language model: utils/map_arpa_lm.pl, utils/build_const_arpa_lm.sh, steps/lmrescore_const_arpa.sh."""

from __future__ import annotations

import gzip
import lzma
import shutil
from pathlib import Path

import pytest
from scripts import ROOT, run

GOLDEN = ROOT / "tests/kaldi/golden"


@pytest.mark.parametrize(
    ("option", "lm", "wanted"),
    [
        ("true", "lm.trigram.arpa", "map_arpa_lm.pl/lm.int.arpa"),
        ("false", "lm.trigram.int.arpa", "map_arpa_lm.pl_back/lm.arpa"),
    ],
)
def test_map_arpa_lm_as_kaldi(option: str, lm: str, wanted: str) -> None:
    words = str(GOLDEN / "lang/words.txt")
    done = run("utils/map_arpa_lm.pl", f"--sym2int={option}", words, stdin=(GOLDEN / lm).read_text())
    assert done.stdout == (ROOT / "tests/recipe/golden" / wanted).read_text()


def test_rescoring_as_kaldi(tmp_path: Path) -> None:
    arpa, old, new = tmp_path / "lm.arpa.gz", tmp_path / "lang", tmp_path / "lang_large"
    arpa.write_bytes(gzip.compress((GOLDEN / "lm.trigram.arpa").read_bytes()))
    shutil.copytree(GOLDEN / "lang", old)
    shutil.copy(GOLDEN / "out/arpa2fst/G.fst", old)
    run("utils/build_const_arpa_lm.sh", arpa, old, new)
    source, dest = tmp_path / "decode", tmp_path / "decode_large"
    source.mkdir()
    (source / "num_jobs").write_text("1\n")
    lattices = lzma.decompress((GOLDEN / "out/gmm-latgen-faster_deep/lat.ark.xz").read_bytes())
    (source / "lat.1.gz").write_bytes(gzip.compress(lattices))
    rescore = ("steps/lmrescore_const_arpa.sh", "--skip-scoring", "true", old, new, tmp_path / "data", source)
    run(*rescore, dest)
    done = run("lattice-best-path", "--acoustic-scale=0.1", f"ark:gunzip -c {dest}/lat.1.gz |", "ark,t:-")
    assert done.stdout.split() == (GOLDEN / "out/lattice-lmrescore-const-arpa/lat.best.0.1").read_text().split()

    assert "would be overwritten" in run(*rescore, source, fails=True).stderr
    (new / "words.txt").write_text("other 1\n")
    assert "words.txt differ" in run(*rescore, dest, fails=True).stderr


def test_a_model_of_other_words_is_an_error(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "lang", tmp_path / "lang")
    (tmp_path / "lm.arpa").write_text("\\data\\\nngram 1=1\n\\1-grams:\n-1.0 nosuchword\n\\end\\\n")
    done = run("utils/build_const_arpa_lm.sh", tmp_path / "lm.arpa", tmp_path / "lang", tmp_path / "new", fails=True)
    assert "no word of the model is in" in done.stderr
    assert not (tmp_path / "new/G.carpa").exists()
