"""Rescoring lattices with language models: const ARPA files, compositions, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from embedded import Run
from test_lattice import paths, random_lattice

from kaldi.base.log import KaldiError
from kaldi.fstext.fst import from_arcs
from kaldi.fstext.io import write_fst
from kaldi.lat.compose import Acceptor, composed, pruned_to, with_const_arpa
from kaldi.lat.io import COMPACT_LATTICE
from kaldi.lat.lattice import linear_lattice
from kaldi.lm.const_arpa import CONST_ARPA, ConstArpa, build
from kaldi.util.table import read_file, read_table, write_file

BIGRAM = """\\data\\
ngram 1=4
ngram 2=3

\\1-grams:
-99 1 -0.5
-1.0 2
-0.5 3 -0.25
-2.0 4 -0.125

\\2-grams:
-0.25 1 3
-0.75 3 4
-0.125 4 2

\\end\\
"""


def model_of(text: str) -> ConstArpa:
    return build(text.splitlines(), "lm.arpa", 1, 2, -1)


def cost(model: ConstArpa, words: list[int]) -> float:
    """What a model adds to a sentence, as log10."""
    lattice = with_const_arpa(linear_lattice(np.array(words, np.int32), np.ones(4, np.int32), 0.0, 0.0), model)
    best = lattice.best_path()
    return best.weight[0] / np.log(10) if best else np.inf


def test_costs_back_off_as_the_arpa_file_says(tmp_path: Path) -> None:
    model = model_of(BIGRAM)
    assert cost(model, [3, 4]) == pytest.approx(0.25 + 0.75 + 0.125)
    assert cost(model, [4, 3]) == pytest.approx((0.5 + 2.0) + (0.125 + 0.5) + (0.25 + 1.0))
    assert cost(model, [3, 7]) == np.inf  # no such word, and no <unk>
    assert cost(model._replace(unk=4), [3, 7]) == pytest.approx(0.25 + 0.75 + 1.0)  # then no history
    write_file(str(tmp_path / "G.carpa"), CONST_ARPA, model)
    assert cost(read_file(str(tmp_path / "G.carpa"), CONST_ARPA), [3, 4]) == pytest.approx(1.125)


def test_a_model_of_kaldi_and_ours_cost_what_kaldi_found(golden: Path, kaldi: Run, tmp_path: Path) -> None:
    options = "--bos-symbol=19 --eos-symbol=20 --unk-symbol=2"
    done = kaldi(f"arpa-to-const-arpa {options} lm.trigram.int.arpa {tmp_path}/G.carpa", golden)
    assert done.returncode == 0, done.stderr.decode()
    theirs, ours = (
        read_file(str(folder / "G.carpa"), CONST_ARPA) for folder in (golden / "out/arpa-to-const-arpa", tmp_path)
    )
    wanted = [line.split() for line in (golden / "out/arpa-to-const-arpa/lat.lmcost").read_text().splitlines()]
    lattices = read_table(f"ark:{golden}/out/lattice-1best/1best.ark", COMPACT_LATTICE)
    for (key, lattice), (utterance, graph) in zip(lattices, wanted, strict=False):
        assert key == utterance
        for model in (theirs, ours):
            assert with_const_arpa(lattice, model).best_path().weight[0] == pytest.approx(float(graph), abs=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_composition_has_a_path_for_each_pair_of_paths(seed: int) -> None:
    lattice = random_lattice(seed, states=6)
    # an acceptor of any words, which maps 1 to 5 at a cost, or says 6 first without hearing a word
    arcs = [(0, 1, 5, 0.5, 0), (0, 2, 2, 1.0, 0), (0, 3, 3, 0.0, 0), (0, 0, 6, 2.0, 1), (1, 1, 5, 0.5, 1)]
    source, ilabel, olabel, weight, target = zip(*[*arcs, (1, 2, 2, 1.0, 1), (1, 3, 3, 0.0, 1)], strict=True)
    fst = from_arcs(0, [0.0, 0.25], source, ilabel, olabel, weight, target)
    wanted: dict[tuple[int, ...], list[float]] = {}
    for words, found in paths(lattice).items():
        added = sum({1: 0.5, 2: 1.0, 3: 0.0}[word] for word in words)
        mapped = tuple(5 if word == 1 else word for word in words)
        for graph, *_ in found:
            wanted.setdefault(mapped, []).append(graph + added)
            for place in range(len(words) + 1):  # 6 once, before any word or at the end
                wanted.setdefault((*mapped[:place], 6, *mapped[place:]), []).append(graph + added + 2.25)
    result = {
        words: sorted(graph for graph, *_ in found)
        for words, found in paths(composed(lattice, Acceptor.of_fst(fst))).items()
    }
    assert result.keys() == wanted.keys()
    for words, costs in wanted.items():
        assert result[words] == pytest.approx(sorted(costs), abs=1e-3)


def test_phi_is_followed_only_where_no_arc_has_the_word() -> None:
    fst = from_arcs(0, [np.inf, 1.0, 2.0], [0, 0, 2, 2], [1, 9, 1, 2], [1, 9, 1, 2], [0.5, 3.0, 0.1, 0.2], [1, 2, 1, 1])
    right = Acceptor.of_fst(fst, phi=9)

    def total(word: int) -> float:
        one_word = linear_lattice(np.array([word], np.int32), np.ones(1, np.int32), 0.0, 0.0)
        best = composed(one_word, right, phi=9).best_path()
        return float(best.weight[0]) if best else np.inf

    assert total(1) == pytest.approx(0.5 + 1.0)  # not 3.0 + 0.1 + 1.0 as well
    assert total(2) == pytest.approx(3.0 + 0.2 + 1.0)
    assert total(3) == np.inf


def test_pruning_keeps_to_max_arcs() -> None:
    lattice = random_lattice(3)
    smaller = pruned_to(lattice, 100.0, 12)
    assert 0 < len(smaller.words) <= 12 < len(lattice.words)
    assert smaller.best_path().weight == pytest.approx(lattice.best_path().weight)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("-0.75 3 4", "-0.75 three 4", "map_arpa_lm.pl"),
        ("-0.75 3 4", "-0.75 5 4", "not the n-gram of its first words"),
        ("-1.0 2", "-1.0 0", "epsilon"),
        ("\\end\\", "", "truncated"),
    ],
)
def test_bad_arpa_files(old: str, new: str, message: str) -> None:
    with pytest.raises(KaldiError, match=message):
        model_of(BIGRAM.replace(old, new))


def test_bad_input_is_one_line(golden: Path, kaldi: Run, tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").write_text(BIGRAM)
    write_fst(str(tmp_path / "G.fst"), from_arcs(0, [0.0], [0], [99], [99], [0.0], [0]))
    lattices = f"ark:{golden}/out/gmm-latgen-faster_deep/lat.ark"
    for command, message in {
        f"arpa-to-const-arpa {tmp_path}/lm.arpa {tmp_path}/out": b"--bos-symbol",
        f"lattice-lmrescore-const-arpa {lattices} {tmp_path}/G.fst ark:/dev/null": b"not a const ARPA model",
        f"lattice-lmrescore {lattices} {tmp_path}/G.fst ark:/dev/null": b"no lattices were processed",
    }.items():
        done = kaldi(command, tmp_path)
        assert done.returncode == 1
        assert message in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()
