"""Transducers: OpenFst's files, the text form, and the operations that are written here."""

from __future__ import annotations

import struct
from pathlib import Path

import kaldifst
import numpy as np
import pytest

from kaldi.base.log import KaldiError
from kaldi.fstext import ops
from kaldi.fstext.fst import Fst, from_arcs
from kaldi.fstext.info import facts
from kaldi.fstext.io import FST, const_bytes, read_fst, vector_bytes, write_fst
from kaldi.fstext.native import from_native, to_native
from kaldi.fstext.text import lines_of, parse
from kaldi.main import main
from kaldi.util.table import TableWriter, read_table


def random_fst(seed: int, states: int = 12, arcs: int = 40, labels: int = 4) -> Fst:
    """Costs are positive, so that shortest paths exist; label 0 is there too."""
    random = np.random.default_rng(seed)
    final = np.where(random.random(states) < 0.3, random.random(states), np.inf)
    final[-1] = 0.5
    return from_arcs(
        0,
        final,
        random.integers(0, states, arcs),
        random.integers(0, labels, arcs),
        random.integers(0, labels, arcs),
        random.random(arcs).round(3),
        random.integers(0, states, arcs),
    )


def same(a: Fst, b: Fst) -> bool:
    names = ("final", "offsets", "ilabel", "olabel", "weight", "nextstate")
    return a.start == b.start and all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


def cost_of(fst: Fst, words: list[int]) -> float:
    """The least cost of reading the words."""
    native = to_native(fst)
    kaldifst.arcsort(native, "ilabel")
    best = kaldifst.shortest_path(kaldifst.compose(kaldifst.make_linear_acceptor(words), native))
    path = from_native(best)
    return float(path.weight.sum() + path.final[np.isfinite(path.final)].sum()) if path.num_states else np.inf


@pytest.mark.parametrize("seed", range(3))
def test_files_are_openfsts(seed: int, tmp_path: Path) -> None:
    fst = random_fst(seed)
    for const in (False, True):
        write_fst(str(tmp_path / "a.fst"), fst, const)
        assert same(read_fst(str(tmp_path / "a.fst")), fst)
        native = (kaldifst.StdConstFst if const else kaldifst.StdVectorFst).read(str(tmp_path / "a.fst"))
        assert same(from_native(kaldifst.StdVectorFst(native)), fst)
    to_native(fst).write(str(tmp_path / "b.fst"))
    assert same(read_fst(str(tmp_path / "b.fst")), fst)


def test_empty_transducer(tmp_path: Path) -> None:
    write_fst(str(tmp_path / "a.fst"), parse([], "nothing"))
    assert read_fst(str(tmp_path / "a.fst")).num_states == 0


def test_aligned_const_file_with_symbols(tmp_path: Path) -> None:
    fst = random_fst(1)
    content = bytearray(const_bytes(fst))
    header, arcs = 4 + 4 + 5 + 4 + 8 + 40, 16 * fst.num_arcs
    struct.pack_into("<ii", content, header - 40, 1, 1)  # version 1 is aligned; a table of input symbols follows
    table = struct.pack("<ii3sqqi1sq", 2125658996, 3, b"abc", 1, 1, 1, b"x", 0)
    states = bytes(content[header : len(content) - arcs])
    start = bytes(content[:header]) + table
    blocks = start + bytes(-len(start) % 16) + states
    blocks += bytes(-len(states) % 16) + bytes(content[len(content) - arcs :])
    (tmp_path / "a.fst").write_bytes(blocks)
    assert same(read_fst(str(tmp_path / "a.fst")), fst)


@pytest.mark.parametrize("how", ["ark", "ark,t"])
def test_tables(how: str, tmp_path: Path) -> None:
    graphs = {f"utt{seed}": random_fst(seed) for seed in range(4)}
    with TableWriter(f"{how}:{tmp_path}/fsts", FST) as writer:
        for key, fst in graphs.items():
            writer.write(key, fst)
    for key, fst in read_table(f"ark:{tmp_path}/fsts", FST):
        np.testing.assert_allclose(cost_of(fst, [1, 2]), cost_of(graphs[key], [1, 2]), atol=1e-4)
        assert fst.num_arcs == graphs[key].num_arcs


def test_text_form() -> None:
    fst = parse(["5 7 a x 0.5", "", "7 5 b y", "7 1.25"], "text", {"a": 1, "b": 2}, {"x": 3, "y": 4})
    assert list(lines_of(fst)) == ["0\t1\t1\t3\t0.5", "1\t0\t2\t4", "1\t1.25"]
    assert list(lines_of(fst, {1: "a", 2: "b"}, {3: "x", 4: "y"}))[1] == "1\t0\tb\ty"
    assert list(lines_of(parse(["0 1 4 2", "1"], "text", acceptor=True), acceptor=True)) == ["0\t1\t4\t2", "1"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["0 1 c x"], "text: line 1: the symbol 'c' is not in the symbol table"),
        (["0 1 a x", "0 1 a"], "text: line 2: an arc has 4 or 5 fields"),
        (["0 1 a x heavy"], "text: line 1: 'heavy' is not a weight"),
    ],
)
def test_bad_text(lines: list[str], message: str) -> None:
    with pytest.raises(KaldiError, match=message):
        parse(lines, "text", {"a": 1}, {"x": 1})


def test_bad_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    content = vector_bytes(random_fst(0))
    damaged = bytearray(content)
    damaged[-4:] = struct.pack("<i", 1000)
    files = (
        ("short.fst", content[:-10], "truncated|ends"),
        ("text.fst", b"0 1 1 1\n", "not an OpenFst"),
        ("bad.fst", bytes(damaged), "damaged"),
        ("empty.fst", b"", "not an OpenFst"),
        ("log.fst", content.replace(b"standard", b"log64arc"), "log64arc"),
    )
    for name, data, message in files:
        Path(name).write_bytes(data)
        assert main("fstarcsort", [name, "out.fst"]) == 1
        error = capfd.readouterr().err.splitlines()[-1]
        assert name in error
        assert any(part in error for part in message.split("|"))
        assert not Path("out.fst").exists()


@pytest.mark.parametrize("seed", range(5))
def test_connect_and_sort_as_openfst(seed: int) -> None:
    fst = random_fst(seed, arcs=18)
    native = to_native(fst)
    kaldifst.connect(native)
    assert same(ops.connect(fst), from_native(native))
    assert ops.is_sorted(ops.arcsort(fst, "olabel"), "olabel")
    assert ops.is_sorted(ops.arcsort(fst, "ilabel"), "ilabel")


@pytest.mark.parametrize("log_sums", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_local_epsilon_removal_keeps_costs_and_sums(seed: int, log_sums: bool) -> None:
    fst = ops.connect(random_fst(seed, arcs=24, labels=2))
    smaller = ops.remove_eps_local(fst, log_sums)
    assert smaller.num_arcs <= fst.num_arcs
    for words in ([], [1], [1, 1], [1, 1, 1]):
        np.testing.assert_allclose(cost_of(smaller, words), cost_of(fst, words), atol=1e-4)


def test_local_epsilon_removal_removes() -> None:
    chain = parse(["0 1 5 0", "1 2 0 6 0.5", "2 3 7 0", "3"], "text")
    smaller = ops.remove_eps_local(chain)
    assert list(lines_of(smaller)) == ["0\t1\t5\t6\t0.5", "1\t2\t7\t0", "2"]


def test_pushing_evens_the_sums_and_keeps_the_costs() -> None:
    fst = ops.connect(random_fst(3))
    pushed = ops.push_special(fst)
    sums = ops.weight_sums(pushed)
    assert np.ptp(sums) < 2e-3
    for words in ([1], [1, 2], [3, 2, 1]):
        np.testing.assert_allclose(cost_of(pushed, words), cost_of(fst, words), atol=1e-3)


def test_self_loops_where_words_leave() -> None:
    fst = ops.add_self_loops(parse(["0 1 1 7", "1 2 2 0", "2"], "text"), np.array([9]), np.array([8]))
    assert list(lines_of(fst)) == ["0\t1\t1\t7", "0\t0\t9\t8", "1\t2\t2\t0", "2\t2\t9\t8", "2"]


def test_symbols_removed_penalised_cut() -> None:
    fst = parse(["0 1 1 7", "0 1 2 8 1", "1"], "text")
    assert ops.remove_symbols(fst, np.array([1])).ilabel.tolist() == [0, 2]
    assert ops.remove_symbols(fst, np.array([8]), output=True).olabel.tolist() == [7, 0]
    assert ops.remove_arcs(fst, np.array([1])).ilabel.tolist() == [2]
    assert ops.penalize(fst, np.array([2]), 0.5).weight.tolist() == [0, 1.5]


def test_relabelling(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs"
    write_fst(str(tmp_path / "in"), parse(["0 1 5 6 0.5", "1 2 6 5", "2 2 7 7", "2"], "t"))
    pairs.write_text("5 6\n6 5\n8 1\n")
    arguments = [str(tmp_path / "in"), str(tmp_path / "out")]
    assert main("fstrelabel", [f"--relabel_ipairs={pairs}", f"--relabel_opairs={pairs}", *arguments]) == 0
    assert list(lines_of(read_fst(arguments[1]))) == ["0\t1\t6\t5\t0.5", "1\t2\t5\t6", "2\t2\t7\t7", "2"]


@pytest.mark.parametrize(
    ("options", "call", "back"),
    [
        ([], "1\t0", "0\t0"),
        (["--epsilon_on_replace=true"], "0\t0", "0\t0"),
        (["--call_arc_labeling=both", "--return_arc_labeling=output", "--return_label=7"], "1\t9", "0\t7"),
    ],
)
def test_replacing(options: list[str], call: str, back: str, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    """What OpenFst 1.7.9 gives, but for the order of states."""
    root, part, itself, out = (str(tmp_path / name) for name in ("root", "part", "itself", "out"))
    write_fst(root, parse(["0 1 1 9 0.5", "1 1 2 2 3", "1 0.25"], "root"))
    write_fst(part, parse(["0 1 3 3 1", "0 0.125", "1 2"], "part"))
    write_fst(itself, parse(["0 1 3 8", "1"], "itself"))
    assert main("fstreplace", [*options, root, "100", part, "9", out]) == 0
    assert sorted(lines_of(read_fst(out))) == [
        f"0\t2\t{call}\t0.5",
        "1\t0.25",
        "1\t1\t2\t2\t3",
        f"2\t1\t{back}\t0.125",
        "2\t3\t3\t3\t1",
        f"3\t1\t{back}\t2",
    ]
    assert main("fstreplace", [root, "100", itself, "8", part, "9", out]) == 0
    assert main("fstreplace", [itself, "8", part, "9", out]) == 1
    assert "the transducer for label 8 has itself in it" in capfd.readouterr().err


def test_topological_order_and_properties() -> None:
    fst = ops.topsort(parse(["0 2 1 1", "0 1 1 1", "2 1 1 1", "1"], "text"))
    assert (fst.sources() < fst.nextstate).all()
    found = dict(facts(fst))
    assert (found["# of arcs"], found["cyclic"], found["top sorted"]) == (3, "n", "y")
    assert found["input deterministic"] == "n"
    loop = dict(facts(parse(["0 0 1 2", "0"], "text")))
    assert (loop["cyclic"], loop["cyclic at initial state"], loop["acceptor"]) == ("y", "y", "n")


def test_random_path_is_a_path() -> None:
    path = ops.random_path(ops.connect(random_fst(2)), np.random.default_rng(1), 1000)
    assert cost_of(random_fst(2), path.ilabel[path.ilabel > 0].tolist()) < np.inf
