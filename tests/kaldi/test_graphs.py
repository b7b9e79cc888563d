"""Language models as acceptors, HMMs in graphs, training graphs (test_golden.py compares the programs with Kaldi)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_fst import cost_of

from kaldi.base.log import KaldiError
from kaldi.decoder.training_graphs import TOGETHER
from kaldi.fstext.io import FST, read_fst, write_fst
from kaldi.fstext.ops import remove_symbols
from kaldi.fstext.text import parse
from kaldi.hmm.graphs import CONTEXTS, HmmGraphs, SelfLoops, h_transducer, transition_costs
from kaldi.hmm.topology import HmmState, HmmTopology
from kaldi.hmm.transition_model import TransitionModel
from kaldi.lm.arpa import compile_lm
from kaldi.main import main
from kaldi.tree.context_dependency import ContextDependency, init_transition_model, monophone_tree
from kaldi.util.table import read_file, read_table, write_file

ARPA = """\\data\\
ngram 1=4
ngram 2=3

\\1-grams:
-1 <s> -0.5
-0.7 </s>
-0.4 a -0.3
-0.6 b

\\2-grams:
-0.2 <s> a
-0.3 a b
-0.1 b </s>

\\end\\
"""
SYMBOLS = {"<eps>": 0, "a": 1, "b": 2, "#0": 3, "<s>": 4, "</s>": 5}
LN10 = np.log(10.0)


@pytest.mark.parametrize(
    ("words", "log10"),
    [
        ([1, 2], -0.2 - 0.3 - 0.1),  # a b, all bigrams
        ([2], -0.5 - 0.6 - 0.1),  # b after back-off
        ([1], -0.2 - 0.3 - 0.7),
        ([1, 1], -0.2 - 0.3 - 0.4 - 0.3 - 0.7),
    ],
)
def test_sentence_costs(words: list[int], log10: float) -> None:
    fst = compile_lm(ARPA.splitlines(), "lm", dict(SYMBOLS), add_symbols=False, disambig=3)
    np.testing.assert_allclose(cost_of(remove_symbols(fst, np.array([3])), words), -LN10 * log10, atol=1e-4)


def test_sentence_boundaries_as_words() -> None:
    fst = compile_lm(ARPA.splitlines(), "lm", dict(SYMBOLS), add_symbols=False)
    np.testing.assert_allclose(cost_of(fst, [4, 1, 2, 5]), LN10 * 0.6, atol=1e-4)


def test_words_out_of_the_table_are_left_out_or_added(capfd: pytest.CaptureFixture) -> None:
    known = {word: label for word, label in SYMBOLS.items() if word != "b"}
    fst = compile_lm(ARPA.splitlines(), "lm", dict(known), add_symbols=False, disambig=3)
    assert "line 9: n-gram left out: the word 'b' is not in the symbol table" in capfd.readouterr().err
    assert 2 not in fst.ilabel
    symbols = {"<eps>": 0, "#0": 1}
    compile_lm(ARPA.splitlines(), "lm", symbols, add_symbols=True, disambig=1)
    assert sorted(symbols.values()) == list(range(6))


@pytest.mark.parametrize(
    ("old", "new"),
    [("ngram 2=3", "ngram 2=4"), ("ngram 1=4", "ngram 1=9"), ("ngram 2=3\n", "ngram 2=3\nngram 2=5\n")],
)
def test_the_header_may_say_more_ngrams_than_there_are(old: str, new: str) -> None:
    """`grep -v '<s> <s>'` leaves such files. Kaldi gives the model of the n-grams that are there."""
    fst, wanted = (
        compile_lm(text.splitlines(), "lm", dict(SYMBOLS), add_symbols=False, disambig=3)
        for text in (ARPA.replace(old, new), ARPA)
    )
    assert list(fst.ilabel) == list(wanted.ilabel)
    np.testing.assert_array_equal(fst.weight, wanted.weight)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\\end\\", "", "ends without"),
        ("ngram 2=3", "ngram 2=2", "line 16: 3 2-grams, but the header says 2"),
        ("-0.4 a -0.3", "-0.4 a x y", "line 8: not a 1-gram"),
        ("-0.4 a -0.3", "high a -0.3", "line 8: expected log10 numbers"),
        ("-1 <s> -0.5\n", "-1 c -0.5\n", "no unigram <s>"),
    ],
)
def test_bad_arpa(old: str, new: str, message: str) -> None:
    with pytest.raises(KaldiError, match=message):
        compile_lm(ARPA.replace(old, new).splitlines(), "lm", dict(SYMBOLS), add_symbols=True, disambig=3)


@pytest.fixture
def system() -> tuple[ContextDependency, TransitionModel]:
    """Two phones of two states each; a state loops with probability 0.75."""
    states = [HmmState(0, 0, ((0, 0.75), (1, 0.25))), HmmState(1, 1, ((1, 0.75), (2, 0.25))), HmmState(-1, -1, ())]
    topology = HmmTopology([states], np.array([-1, 0, 0]))
    tree = monophone_tree([[1], [2]], topology)
    return tree, init_transition_model(tree, topology)


def test_h_transducer(system: tuple[ContextDependency, TransitionModel]) -> None:
    tree, model = system
    h, symbols = h_transducer([(), (1,), (0,), (-5,), (2,)], HmmGraphs(tree, model, 1.0))
    assert symbols.tolist() == [model.num_tids + 1, model.num_tids + 2]
    assert h.num_states == 1 + 2 + 1 + 1 + 2
    forward = [int(tid) for tid in np.flatnonzero(~model.is_self_loop) if tid]
    assert sorted(h.ilabel[(h.ilabel > 0) & (h.ilabel <= model.num_tids)]) == forward
    np.testing.assert_allclose(h.weight, 0, atol=1e-6)  # looping is left out: the only way on is certain


def test_self_loops(system: tuple[ContextDependency, TransitionModel]) -> None:
    _, model = system
    first, second = (int(t) for t in np.flatnonzero(~model.is_self_loop & (model.id2phone == 1)))
    loops_of = SelfLoops(model, 1.0)
    graph = loops_of.add_to(parse([f"0 1 {first} 1", f"0 1 {second} 0", "1"], "text"))
    assert graph.num_states == 4  # each of the two transition-states has its own copy of state 1
    loops = graph.sources() == graph.nextstate
    assert sorted(graph.ilabel[loops]) == sorted(model.self_loop_of[model.id2state[[first, second]]])
    np.testing.assert_allclose(graph.weight[loops], -np.log(0.75), rtol=1e-5)
    np.testing.assert_allclose(graph.weight[(graph.ilabel == 0)], -np.log(0.25), rtol=1e-5)
    with pytest.raises(KaldiError, match="self-loops already"):
        loops_of.add_to(graph)
    with pytest.raises(KaldiError, match="no transition-id of the model"):
        loops_of.add_to(parse(["0 1 99 0", "1"], "text"))


def test_transition_costs(system: tuple[ContextDependency, TransitionModel]) -> None:
    model = system[1]
    np.testing.assert_allclose(transition_costs(model, 0.5, 0.5)[1:], -0.5 * model.log_probs[1:], rtol=1e-6)
    scaled = transition_costs(model, 1.0, 0.1)
    np.testing.assert_allclose(scaled[1:], -0.1 * model.log_probs[1:], atol=1e-6)


def test_contexts_file(tmp_path: Path) -> None:
    contexts = [(), (0,), (-3,), (1, 2, 3)]
    for binary in (True, False):
        write_file(str(tmp_path / "ilabels"), CONTEXTS, contexts, binary)
        assert read_file(str(tmp_path / "ilabels"), CONTEXTS) == contexts


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("fsttablecompose a.fst none.fst out.fst", "cannot open none.fst"),
        ("fstcompose a.fst a.fst out.fst", "not sorted"),
        ("fstrmsymbols words a.fst out.fst", "words: expected a list of integers"),
        ("fstrmsymbols --remove-arcs=true --penalty=1 list a.fst out.fst", "exclude each other"),
        ("fstaddselfloops list two a.fst out.fst", "must be pairs"),
        ("arpa2fst words out.fst", "--read-symbol-table or --write-symbol-table"),
        ("arpa2fst --read-symbol-table=symbols --disambig-symbol=#0 words out.fst", "symbols has no symbol #0"),
        ("arpa2fst --read-symbol-table=symbols words out.fst", "words: the ARPA file ends without"),
        ("add-self-loops --reorder=false words a.fst out.fst", "--reorder=false"),
        ("add-self-loops words empty.fst out.fst", "empty.fst: the graph is empty"),
        ("fstconvert --fst_type=compact a.fst out.fst", "--fst_type=compact"),
        ("fstarcsort --sort_type=length a.fst out.fst", "--sort_type=length"),
    ],
)
def test_bad_input(
    command: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    write_fst("a.fst", parse(["0 1 2 2", "0 1 1 1", "1"], "text"))
    write_fst("empty.fst", parse([], "text"))
    for name, text in (("words", "a b\n"), ("list", "1\n"), ("two", "1\n2\n"), ("symbols", "<eps> 0\na 1\n")):
        Path(name).write_text(text)
    program, *arguments = command.split()
    assert main(program, arguments) == 1
    assert message in capfd.readouterr().err.splitlines()[-1]
    assert not Path("out.fst").exists()


def test_transcript_with_an_unknown_word(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    words = len((golden / "lang/words.txt").read_text().splitlines())
    Path("text").write_text(f"bad {words + 5}\ngood 3 4\n")
    mono = golden / "out/gmm-init-mono"
    model = [str(mono / "tree"), str(mono / "0.mdl"), str(golden / "lang/L.fst")]
    assert main("compile-train-graphs", [*model, "ark:text", "ark:graphs"]) == 0
    error = capfd.readouterr().err
    assert "bad: empty graph" in error
    assert "succeeded for 1 graphs, failed for 1" in error
    Path("text").write_text(f"bad {words + 5}\n")
    assert main("compile-train-graphs", [*model, "ark:text", "ark:graphs"]) == 1
    assert read_fst(model[2]).num_states > 0


@pytest.mark.parametrize("options", [[], ["--rm-eps=true"]])
def test_graphs_do_not_depend_on_those_beside_them(golden: Path, tmp_path: Path, options: list[str]) -> None:
    tri, sizes = golden / "out/tri1", []
    symbols = f"--read-disambig-syms={golden}/lang/phones/disambig.int"
    model = [str(tri / "tree"), str(tri / "final.mdl"), str(golden / "lang/L.fst"), f"ark:{golden}/text.int"]
    for batch_size in ("1", "250"):
        graphs = f"ark:{tmp_path}/{batch_size}"
        assert main("compile-train-graphs", [symbols, f"--batch-size={batch_size}", *options, *model, graphs]) == 0
        sizes.append({key: (graph.num_states, graph.num_arcs) for key, graph in read_table(graphs, FST)})
    assert len(sizes[0]) > TOGETHER
    assert sizes[0] == sizes[1]
