"""Lattices, their files, determinisation and the decoder, against plain enumeration of paths."""

from __future__ import annotations

import itertools
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest

from kaldi.base.log import KaldiError
from kaldi.fstext.fst import from_arcs
from kaldi.fstext.text import parse
from kaldi.lat.compose import backoff_acceptor, composed
from kaldi.lat.io import COMPACT_LATTICE, LATTICE
from kaldi.lat.lattice import INF, Lattice, Strings, expanded, joined, linear_lattice, union
from kaldi.lat.minimize import minimized
from kaldi.lat.oracle import oracle
from kaldi.lat.paths import backward_costs, best_paths, frame_posteriors, posteriors, pruned, with_histories
from kaldi.lat.push import pushed
from kaldi.util.table import TableWriter, read_table

BIN = Path(__file__).resolve().parents[2] / "kaldi" / "bin"
Paths = dict[tuple[int, ...], list[tuple[float, float, tuple[int, ...]]]]


def random_lattice(seed: int, states: int = 9) -> Lattice:
    """States at successive frames, arcs of one to three frames, some without a word; many paths have the same words."""
    random = np.random.default_rng(seed)
    rows = []
    for source in range(states - 1):
        for target in range(source + 1, min(source + 4, states)):
            for _ in range(random.integers(1, 3)):
                rows.append(
                    (
                        source,
                        target,
                        int(random.integers(0, 4)),
                        random.normal(3, 2, 2),
                        random.integers(1, 9, target - source),
                    )
                )
    final_weights = np.full((states, 2), INF, np.float32)
    final_weights[-1] = random.normal(1, 1, 2)
    offsets = np.searchsorted([r[0] for r in rows], np.arange(states + 1))
    return Lattice(
        0,
        offsets,
        np.array([r[2] for r in rows], np.int32),
        np.array([r[1] for r in rows], np.int32),
        np.array([r[3] for r in rows], np.float32),
        Strings.of_lengths(np.array([len(r[4]) for r in rows]), np.concatenate([r[4] for r in rows])),
        final_weights,
        Strings(np.zeros(states + 1), np.zeros(0)),
    )


def paths(lattice: Lattice) -> Paths:
    """(graph cost, acoustic cost, transition-ids) of every path, by words."""
    found: Paths = {}

    def walk(state: int, words: tuple, graph: float, acoustic: float, ids: tuple) -> None:
        end = lattice.final_weights[state].tolist()
        if sum(end) < math.inf:
            complete = (graph + end[0], acoustic + end[1], ids + tuple(lattice.final_strings[state].tolist()))
            found.setdefault(words, []).append(complete)
        for arc in range(lattice.offsets[state], lattice.offsets[state + 1]):
            word, weight = int(lattice.words[arc]), lattice.weights[arc].tolist()
            walk(
                int(lattice.targets[arc]),
                words + ((word,) if word else ()),
                graph + weight[0],
                acoustic + weight[1],
                ids + tuple(lattice.strings[arc].tolist()),
            )

    walk(lattice.start, (), 0.0, 0.0, ())
    return found


def best_of(lattice: Lattice) -> dict[tuple[int, ...], tuple[float, tuple[int, ...]]]:
    return {words: min((g + a, ids) for g, a, ids in ways) for words, ways in paths(lattice).items()}


def assert_same_paths(one: Lattice, other: Lattice) -> None:
    a, b = paths(one), paths(other)
    assert a.keys() == b.keys()
    for words in a:
        assert sorted(x[2] for x in a[words]) == sorted(x[2] for x in b[words])
        costs = [sorted(x[0] + x[1] for x in ways[words]) for ways in (a, b)]
        np.testing.assert_allclose(*costs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [COMPACT_LATTICE, LATTICE])
@pytest.mark.parametrize("form", ["ark", "ark,t"])
def test_files(tmp_path: Path, kind, form: str) -> None:
    lattice = random_lattice(1)
    with TableWriter(f"{form}:{tmp_path}/lat", kind) as writer:
        writer.write("a", lattice)
        writer.write("b", linear_lattice(np.array([7]), np.array([3, 4, 5]), 1.5, 2.5))
    read = dict(read_table(f"ark:{tmp_path}/lat", kind))
    assert list(read) == ["a", "b"]
    assert_same_paths(lattice, read["a"])
    assert paths(read["b"]) == {(7,): [(1.5, 2.5, (3, 4, 5))]}


def test_truncated_file_is_named(tmp_path: Path) -> None:
    with TableWriter(f"ark:{tmp_path}/lat", COMPACT_LATTICE) as writer:
        writer.write("a", random_lattice(1))
    whole = (tmp_path / "lat").read_bytes()
    (tmp_path / "lat").write_bytes(whole[:-5])
    with pytest.raises(KaldiError, match="lat.*'a'"):
        list(read_table(f"ark:{tmp_path}/lat", COMPACT_LATTICE))
    (tmp_path / "lat").write_bytes(b"a \0B not a lattice at all")
    with pytest.raises(KaldiError, match="not a lattice"):
        list(read_table(f"ark:{tmp_path}/lat", COMPACT_LATTICE))


@pytest.mark.parametrize(("offset", "number"), [(-4, -1), (12, 5)])  # the length of the string, and where the arc leads
def test_damaged_file_is_named(tmp_path: Path, offset: int, number: int) -> None:
    with TableWriter(f"ark:{tmp_path}/lat", COMPACT_LATTICE) as writer:
        writer.write("a", linear_lattice(np.array([7]), np.array([77, 78, 79]), 1.5, 2.5))
    content = bytearray((tmp_path / "lat").read_bytes())
    at = content.index(np.array([77, 78, 79], np.int32).tobytes()) + offset
    content[at : at + 4] = np.int32(number).tobytes()
    (tmp_path / "lat").write_bytes(content)
    with pytest.raises(KaldiError, match="damaged lattice.*'a'"):
        list(read_table(f"ark:{tmp_path}/lat", COMPACT_LATTICE))


def test_operations() -> None:
    lattice = random_lattice(2)
    shuffled = lattice.take_states(np.random.default_rng(0).permutation(lattice.num_states))
    assert_same_paths(lattice, shuffled)
    assert_same_paths(lattice, shuffled.sorted())
    assert_same_paths(lattice, expanded(lattice))
    assert_same_paths(lattice, joined(expanded(lattice)))
    line = linear_lattice(np.array([7, 8]), np.arange(1, 9), 1.5, 2.5)
    assert joined(expanded(line)).strings.lengths.tolist() == [1, 7]
    everything = [(g + a, ids) for ways in paths(lattice).values() for g, a, ids in ways]
    start_first = lattice.take_states(np.roll(np.arange(lattice.num_states)[::-1], 1))
    for best in (shuffled.best_path(), start_first.best_path()):
        assert best.weight.sum() == pytest.approx(min(everything)[0], abs=1e-4)
        assert tuple(best.alignment) == min(everything)[1]
    assert_same_paths(best.lattice_of_path(), pruned(lattice, 1e-3))


@pytest.mark.parametrize("lost", [[], [2], [7], [2, 4, 5]])
def test_connected_has_the_states_on_paths_alone(lost: list[int]) -> None:
    """Of states that nothing leaves, or nothing enters, and of no others: arcs pass by them."""
    whole = random_lattice(1)
    assert whole.connected() is whole
    dead_ends = whole.take_arcs(~np.isin(whole.sources, lost))
    orphans = whole.take_arcs(~np.isin(whole.targets, lost))
    for lattice in (dead_ends, orphans):
        connected = lattice.connected()
        assert connected.num_states == whole.num_states - len(lost)
        assert paths(connected) == paths(lattice)


@pytest.mark.parametrize("seed", range(3))
def test_the_best_paths_in_their_order(seed: int) -> None:
    lattice = random_lattice(seed)
    everything = sorted((g + a, ids) for ways in paths(lattice).values() for g, a, ids in ways)
    for count in (1, 7, len(everything) + 5):
        found = best_paths(lattice, count)
        costs = [float(path.weight.sum()) for path in found]
        np.testing.assert_allclose(costs, [cost for cost, _ in everything[:count]], rtol=1e-5)
        assert {tuple(path.alignment) for path in found} <= {ids for _, ids in everything}


@pytest.mark.parametrize("seed", range(3))
def test_histories_split_states_and_keep_paths(seed: int) -> None:
    lattice = random_lattice(seed)
    for length in (0, 1, 2):
        split = with_histories(lattice, length)
        assert_same_paths(lattice, split)
        endings: list[set] = [set() for _ in range(split.num_states)]
        endings[0].add(())
        for state in range(split.num_states):  # sorted
            for arc in range(split.offsets[state], split.offsets[state + 1]):
                word = int(split.words[arc])
                for ending in endings[state]:
                    heard = (*ending, word)[-length:] if length and word else ending
                    endings[split.targets[arc]].add(heard)
        assert all(len(different) == 1 for different in endings)


@pytest.mark.parametrize("seed", range(3))
def test_pushing_leaves_the_best_cost_of_states_zero(seed: int) -> None:
    lattice = random_lattice(seed)
    result = pushed(lattice)
    assert_same_paths(lattice, result)
    np.testing.assert_allclose(backward_costs(result)[1:], 0, atol=1e-4)
    for state in range(1, result.num_states):
        strings = [result.strings[arc].tolist() for arc in range(result.offsets[state], result.offsets[state + 1])]
        strings += [result.final_strings[state].tolist()] * bool(np.isfinite(result.final_weights[state]).all())
        assert len({tuple(string[:1]) for string in strings}) > 1 or not strings[0]
    assert_same_paths(lattice, pushed(lattice, strings=False))
    assert np.array_equal(pushed(lattice, strings=False).strings.labels, lattice.strings.labels)


def test_union_has_the_paths_of_all() -> None:
    lattices = [random_lattice(1), random_lattice(2).take_states(np.arange(9)[::-1]), random_lattice(3)]
    together = paths(union(lattices))
    for words, ways in together.items():
        apart = [way for lattice in lattices for way in paths(lattice).get(words, [])]
        assert sorted(way[2] for way in ways) == sorted(way[2] for way in apart)
    assert sum(map(len, together.values())) == sum(len(ways) for one in lattices for ways in paths(one).values())


@pytest.mark.parametrize("seed", range(12))
def test_determinisation_keeps_the_best_path_of_each_word_sequence(seed: int) -> None:
    from kaldi.lat.determinize import determinized

    lattice, beam = random_lattice(seed), 6.0
    result, complete = determinized(lattice, beam)
    assert complete
    for state in range(result.num_states):
        words = result.words[result.offsets[state] : result.offsets[state + 1]].tolist()
        assert len(set(words)) == len(words)
        assert 0 not in words
    want, got, small = best_of(lattice), best_of(result), best_of(minimized(result))
    cutoff = min(want.values())[0] + beam
    for words, (cost, ids) in want.items():
        if cost < cutoff - 0.01:
            assert got[words] == (pytest.approx(cost, abs=2e-3), ids)
            assert small[words] == (pytest.approx(cost, abs=4e-3), ids)
    for words, (cost, ids) in got.items():
        assert want[words] == (pytest.approx(cost, abs=2e-3), ids)
    assert small.keys() == got.keys()


def test_determinisation_within_memory_keeps_the_best_path() -> None:
    from kaldi.lat.determinize import determinized

    lattice = random_lattice(3, states=14)
    result, _ = determinized(lattice, 50.0, max_mem=20000)
    assert len(result.words) < len(determinized(lattice, 50.0)[0].words)
    assert tuple(result.best_path().alignment) == tuple(lattice.best_path().alignment)


def test_posteriors() -> None:
    lattice = random_lattice(4)
    arc_posteriors, _, total = posteriors(lattice)
    everything = [g + a for ways in paths(lattice).values() for g, a, _ in ways]
    assert total == pytest.approx(np.logaddexp.reduce(-np.array(everything)), abs=1e-4)
    assert arc_posteriors[lattice.sources == 0].sum() == pytest.approx(1.0)
    post, _, _ = frame_posteriors(lattice)
    assert [sum(w for _, w in frame) for frame in post] == pytest.approx([1.0] * (lattice.num_states - 1), abs=1e-5)


def edit_distance(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


@pytest.mark.parametrize("seed", range(5))
def test_oracle(seed: int) -> None:
    lattice = random_lattice(seed)
    reference = np.random.default_rng(seed).integers(1, 4, 6)
    result = oracle(lattice, reference, np.array([0]))
    assert result.errors == min(edit_distance(words, tuple(reference)) for words in paths(lattice))
    assert edit_distance(tuple(result.words), tuple(reference)) == result.errors


def test_minimum_bayes_risk() -> None:
    from kaldi.lat.mbr import MinimumBayesRisk

    lattice = random_lattice(5, states=7)
    mbr = MinimumBayesRisk(lattice)
    ways = [(words, math.exp(-g - a)) for words, all_ways in paths(lattice).items() for g, a, _ in all_ways]
    total = sum(p for _, p in ways)
    exact = sum(p * edit_distance(words, tuple(mbr.words)) for words, p in ways) / total
    assert exact <= mbr.risk + 1e-3  # the recursion gives an upper bound
    for entries in mbr.sausage:
        assert sum(p for _, p in entries) == pytest.approx(1.0, abs=1e-4)


def test_decoding_with_another_language_model_is_rescoring() -> None:
    """With a wide beam, that is, and where the old model has every word."""
    from kaldi.decoder.decoding_graph import DecodingGraph, LanguageModels
    from kaldi.decoder.lattice_decoder import decode_utterance
    from kaldi.decoder.options import DecoderOptions

    random = np.random.default_rng(2)
    ilabel, olabel = random.integers(0, 4, 30), random.integers(0, 4, 30)
    source, target = np.repeat(np.arange(6), 5), random.integers(0, 6, 30)
    ilabel[source >= target] = 1  # no epsilon loops
    fst = from_arcs(0, np.full(6, 0.25), source, ilabel, olabel, random.random(30), target)
    old = parse(["0 0 1 1 1", "0 0 2 2 2", "0 1 3 3 0.5", "1 0 0 0 0.1", "1 1 2 2 0.3", "0 0.75"], "old")
    new = parse(["0 1 1 1 2", "0 0 2 2 1", "1 2 0 0 0.2", "1 1 1 1 0.1", "2 0 2 2 3", "2 1 1 1 4", "0 1", "2 2"], "new")
    loglikes, pdf_of = random.normal(0, 1, (3, 3)).astype(np.float32), np.arange(-1, 3, dtype=np.int32)
    options = DecoderOptions(beam=1000.0, lattice_beam=100.0)

    def costs(lattice: Lattice) -> dict[tuple, float]:
        found: dict[tuple, float] = {}
        for words, ways in paths(lattice).items():
            for graph, acoustic, ids in ways:
                found[words, ids] = min(found.get((words, ids), math.inf), graph + acoustic)
        return found

    plain, _ = decode_utterance(DecodingGraph(fst), loglikes, pdf_of, 1.0, options)
    wanted = costs(composed(composed(plain, backoff_acceptor(old, -1.0), phi=0), backoff_acceptor(new), phi=0))
    graph = DecodingGraph(fst, LanguageModels(old, new))
    found = costs(decode_utterance(graph, loglikes, pdf_of, 1.0, options)[0])
    assert found == pytest.approx(wanted, abs=1e-4)
    assert len({words for words, _ in found}) > 3
    assert not any(3 in words for words, _ in found)  # the new model lacks it


def test_decoder_finds_every_path_within_the_lattice_beam() -> None:
    from kaldi.decoder.decoding_graph import DecodingGraph
    from kaldi.decoder.lattice_decoder import decode_utterance
    from kaldi.decoder.options import DecoderOptions

    random = np.random.default_rng(0)
    states, frames, pdfs = 6, 7, 5
    source, target = (np.array(x) for x in zip(*itertools.product(range(states), repeat=2), strict=True))
    ilabel = random.integers(0, pdfs + 1, len(source))
    ilabel[source >= target] = random.integers(1, pdfs + 1, int((source >= target).sum()))  # no epsilon loops
    weight = random.uniform(0, 2, len(source)).astype(np.float32)
    final = np.where(np.arange(states) > 3, 0.5, np.inf)
    fst = from_arcs(0, final, source, ilabel, random.integers(0, 3, len(source)), weight, target)
    loglikes = random.normal(0, 2, (frames, pdfs)).astype(np.float32)
    options = DecoderOptions(beam=1000.0, lattice_beam=2.0, prune_interval=2)
    pdf_of = np.arange(-1, pdfs, dtype=np.int32)
    lattice, reached = decode_utterance(DecodingGraph(fst), loglikes, pdf_of, 0.5, options)
    assert reached
    got = sorted((g + a, ids) for ways in paths(lattice).values() for g, a, ids in ways)
    acoustic = -0.5 * loglikes
    at_least = np.append(np.cumsum(acoustic.min(1)[::-1])[::-1], 0.0)  # what the frames from one on add to a cost
    costs = []

    def walk(state: int, frame: int, cost: float, ids: tuple) -> None:
        """All paths but those that cannot come within the lattice beam of what was found."""
        if cost + at_least[frame] > got[0][0] + 2:
            return
        if frame == frames and final[state] < math.inf:
            costs.append((cost + final[state], ids))
        for arc in range(fst.offsets[state], fst.offsets[state + 1]):
            label, following = int(fst.ilabel[arc]), int(fst.nextstate[arc])
            if label and frame < frames:
                walk(following, frame + 1, cost + fst.weight[arc] + acoustic[frame, label - 1], ids + (label,))
            elif not label:
                walk(following, frame, cost + fst.weight[arc], ids)

    walk(0, 0, 0.0, ())
    best = min(costs)
    assert got[0] == (pytest.approx(best[0], abs=1e-4), best[1])
    want = sorted(cost for cost, _ in costs if cost < best[0] + 1.99)
    np.testing.assert_allclose([c for c, _ in got if c < best[0] + 1.99], want, atol=1e-3)


def test_a_damaged_archive_fails_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "lat").write_bytes(b"u1 \xd6\xfd\xb2\x7e")
    done = subprocess.run([BIN / "lattice-best-path", f"ark:{tmp_path}/lat", "ark,t:-"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "'u1'" in done.stderr.splitlines()[-1]


def test_nbest_to_lattice_undoes_lattice_to_nbest(tmp_path):
    """Their union has the same paths; a key without a number is an error."""
    lattice = random_lattice(5)
    with TableWriter(f"ark:{tmp_path}/lats", COMPACT_LATTICE) as writer:
        writer.write("u-1", lattice)
        writer.write("v", random_lattice(6))
    run = [BIN / "lattice-to-nbest", "--n=7", f"ark:{tmp_path}/lats", f"ark:{tmp_path}/nbest"]
    subprocess.run(run, check=True, capture_output=True)
    run = [BIN / "nbest-to-lattice", f"ark:{tmp_path}/nbest", f"ark:{tmp_path}/union"]
    done = subprocess.run(run, check=True, capture_output=True, text=True)
    assert "2 utterances, of 7 paths" in done.stderr
    joined = dict(read_table(f"ark:{tmp_path}/union", COMPACT_LATTICE))
    assert joined.keys() == {"u-1", "v"}
    found = [path for same_words in paths(joined["u-1"]).values() for path in same_words]
    wanted = [(*path.weight, tuple(path.alignment)) for path in best_paths(lattice, 7)]
    assert len(found) == 7
    for path, other in zip(sorted(found, key=sum_of_costs), sorted(wanted, key=sum_of_costs), strict=True):
        np.testing.assert_allclose(path[:2], other[:2], rtol=1e-5)
        assert tuple(path[2]) == other[2]
    run = [BIN / "nbest-to-lattice", f"ark:{tmp_path}/lats", f"ark:{tmp_path}/union"]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 1
    assert "the lattice v has no number" in done.stderr


def sum_of_costs(path) -> float:
    return path[0] + path[1]
