"""Kaldi's programs that make decoding and training graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from kaldi.base.log import KaldiError, log, warn
from kaldi.fstext import ops
from kaldi.fstext.io import FST, read_fst, write_fst
from kaldi.fstext.native import from_native, to_native
from kaldi.util.io import Output, open_input
from kaldi.util.kinds import INT_VECTOR
from kaldi.util.options import with_options_of
from kaldi.util.symbols import read_symbols
from kaldi.util.table import RandomAccess, TableWriter, read_table

if TYPE_CHECKING:
    from kaldi.decoder.training_graphs import TrainGraphCompiler
    from kaldi.fstext.fst import Fst


def _read_labels(rxfilename: str) -> np.ndarray:
    """Integers, one a line."""
    with open_input(rxfilename) as reader:
        words = reader.until(b"").split()
    try:
        return np.array([int(word) for word in words], np.int32)
    except ValueError:
        raise KaldiError(f"{rxfilename}: expected a list of integers, one a line") from None


def _write_labels(wxfilename: str, labels: list[int]) -> None:
    with Output(wxfilename) as out:
        out.write("".join(f"{label}\n" for label in labels).encode())


def arpa2fst(
    arpa: str,
    fst_out: str = "-",
    *,
    bos_symbol: str = "<s>",
    eos_symbol: str = "</s>",
    disambig_symbol: str = "",
    read_symbol_table: str = "",
    write_symbol_table: str = "",
    keep_symbols: bool = False,
    ilabel_sort: bool = True,
    max_arpa_warnings: int = 30,
) -> None:
    """Convert a language model in ARPA format to a transducer.

    Usage: arpa2fst [options] <arpa-in> [<fst-out>]
    """
    from kaldi.lm.arpa import compile_lm

    if keep_symbols or not (read_symbol_table or write_symbol_table):
        raise KaldiError("symbols inside the FST are not supported: give --read-symbol-table or --write-symbol-table")
    symbols = read_symbols(read_symbol_table) if read_symbol_table else {"<eps>": 0}
    if disambig_symbol and disambig_symbol not in symbols:
        if read_symbol_table:
            raise KaldiError(f"{read_symbol_table} has no symbol {disambig_symbol}")
        symbols[disambig_symbol] = len(symbols)
    with open_input(arpa) as reader:
        lines = iter(reader.lines())
        fst = compile_lm(
            lines,
            reader.name,
            symbols,
            add_symbols=not read_symbol_table,
            bos=bos_symbol,
            eos=eos_symbol,
            disambig=symbols.get(disambig_symbol, 0),
            max_warnings=max_arpa_warnings,
        )
    if write_symbol_table:
        with Output(write_symbol_table) as out:
            out.text("".join(f"{word}\t{label}\n" for word, label in symbols.items()))
    write_fst(fst_out, ops.arcsort(fst, "ilabel") if ilabel_sort else fst)


def fsttablecompose(
    first: str,
    second: str,
    fst_out: str = "-",
    *,
    match_side: str = "left",
    compose_filter: str = "sequence",
    connect: bool = True,
) -> None:
    """Compose two transducers, looking the arcs of the one up in tables (fast for L o G and H o CLG).

    Usage: fsttablecompose [options] <fst1-in> <fst2-in> [<fst-out>]
    """
    import kaldifst

    left, right = to_native(read_fst(first)), to_native(read_fst(second))
    write_fst(fst_out, from_native(kaldifst.compose(left, right, match_side, compose_filter, connect)))


def fstdeterminizestar(
    fst_in: str = "-", fst_out: str = "-", *, use_log: bool = False, delta: float = 2.0**-10, max_states: int = -1
) -> None:
    """Remove epsilons and determinize in one go.

    Usage: fstdeterminizestar [options] [<fst-in> [<fst-out>]]
    """
    import kaldifst

    native = to_native(read_fst(fst_in))
    try:
        partial = kaldifst.determinize_star(native, delta=delta, max_states=max_states, use_log=use_log)
    except RuntimeError as error:  # too many states, or an FST that cannot be determinized; the last line says which
        raise KaldiError(f"{fst_in}: {str(error).strip().splitlines()[-1].removeprefix('[E] ')}") from None
    if partial:
        warn(f"stopped at {max_states} states: the result is only a part")
    write_fst(fst_out, from_native(native))


def fstminimizeencoded(fst_in: str = "-", fst_out: str = "-", *, delta: float = 2.0**-10) -> None:
    """Minimize, taking labels and weights together as symbols.

    Usage: fstminimizeencoded [--delta=D] [<fst-in> [<fst-out>]]
    """
    import kaldifst

    native = to_native(read_fst(fst_in))
    kaldifst.minimize_encoded(native, delta)
    write_fst(fst_out, from_native(native))


def fstpushspecial(fst_in: str = "-", fst_out: str = "-", *, delta: float = 2.0**-10) -> None:
    """Push weights so that those out of every state sum to the same number.

    Usage: fstpushspecial [--delta=D] [<fst-in> [<fst-out>]]
    """
    write_fst(fst_out, ops.push_special(read_fst(fst_in), delta))


def fstisstochastic(fst_in: str = "-", *, delta: float = 0.01, test_in_log: bool = True) -> int:
    """Print the least and the greatest sum of the weights out of a state, as costs; fails unless all are near 0.

    Usage: fstisstochastic [options] [<fst-in>]
    """
    sums = ops.weight_sums(read_fst(fst_in), test_in_log)
    low, high = (sums.max(), sums.min()) if len(sums) else (0.0, 0.0)
    print(f"{low:.6g} {high:.6g}")
    return int(bool(max(abs(low), abs(high)) > delta))


def fstcomposecontext(
    ilabels_out: str,
    fst_in: str = "-",
    fst_out: str = "-",
    *,
    binary: bool = True,
    context_size: int = 3,
    central_position: int = 1,
    read_disambig_syms: str = "",
    write_disambig_syms: str = "",
) -> None:
    """Compose on the left with the transducer from phones in context to phones.

    Usage: fstcomposecontext [options] <ilabels-out> [<fst-in> [<fst-out>]]
    """
    import kaldifst

    from kaldi.hmm.graphs import CONTEXTS
    from kaldi.util.table import write_file

    symbols = _read_labels(read_disambig_syms) if read_disambig_syms else np.zeros(0, np.int32)
    if not len(symbols):
        warn("the list of disambiguation symbols is empty: is the lang directory complete?")
    fst = to_native(read_fst(fst_in))
    composed, contexts = kaldifst.compose_context(symbols.tolist(), context_size, central_position, fst)
    write_file(ilabels_out, CONTEXTS, contexts, binary)
    if write_disambig_syms:
        if not read_disambig_syms:
            raise KaldiError("--write-disambig-syms needs --read-disambig-syms")
        _write_labels(write_disambig_syms, [i for i, c in enumerate(contexts) if len(c) == 1 and c[0] <= 0])
    write_fst(fst_out, from_native(composed))


def fstrmsymbols(
    symbols: str,
    fst_in: str = "-",
    fst_out: str = "-",
    *,
    apply_to_output: bool = False,
    remove_from_output: bool = False,
    remove_arcs: bool = False,
    penalty: float = -np.inf,
) -> None:
    """Replace symbols by epsilon, or remove the arcs that have them, or make those arcs cost more.

    Usage: fstrmsymbols [options] <symbol-list> [<fst-in> [<fst-out>]]
    """
    if remove_arcs and penalty != -np.inf:
        raise KaldiError("--remove-arcs and --penalty exclude each other")
    labels, fst, output = _read_labels(symbols), read_fst(fst_in), apply_to_output or remove_from_output
    if remove_arcs:
        fst = ops.remove_arcs(fst, labels, output)
    elif penalty != -np.inf:
        fst = ops.penalize(fst, labels, penalty, output)
    else:
        fst = ops.remove_symbols(fst, labels, output)
    write_fst(fst_out, fst)


def fstrmepslocal(fst_in: str = "-", fst_out: str = "-", *, stochastic_in_log: bool = True) -> None:
    """Remove the epsilons whose removal makes the transducer smaller.

    Usage: fstrmepslocal [--stochastic-in-log=false] [<fst-in> [<fst-out>]]
    """
    write_fst(fst_out, ops.remove_eps_local(read_fst(fst_in), stochastic_in_log))


def fstaddselfloops(isymbols: str, osymbols: str, fst_in: str = "-", fst_out: str = "-") -> None:
    """Add loops with pairs of disambiguation symbols, so that they pass through.

    Usage: fstaddselfloops <input-symbol-list> <output-symbol-list> [<fst-in> [<fst-out>]]
    """
    pair = _read_labels(isymbols), _read_labels(osymbols)
    if len(pair[0]) != len(pair[1]):
        raise KaldiError(f"{isymbols} has {len(pair[0])} symbols, {osymbols} has {len(pair[1])}: they must be pairs")
    write_fst(fst_out, ops.add_self_loops(read_fst(fst_in), *pair))


def make_h_transducer(
    ilabels: str,
    tree: str,
    model: str,
    fst_out: str = "-",
    *,
    disambig_syms_out: str = "",
    transition_scale: float = 1.0,
) -> None:
    """Make the transducer from transition-ids to phones in context, without self-loops.

    Usage: make-h-transducer [options] <ilabels> <tree> <model> [<H-fst-out>]
    """
    from kaldi.hmm.graphs import CONTEXTS, HmmGraphs, h_transducer
    from kaldi.hmm.transition_model import read_transition_model
    from kaldi.tree.context_dependency import read_tree
    from kaldi.util.table import read_file

    hmms = HmmGraphs(read_tree(tree), read_transition_model(model), transition_scale)
    fst, symbols = h_transducer(read_file(ilabels, CONTEXTS), hmms)
    if disambig_syms_out:
        _write_labels(disambig_syms_out, symbols.tolist())
    write_fst(fst_out, fst)


def add_self_loops(
    model: str,
    fst_in: str = "-",
    fst_out: str = "-",
    *,
    self_loop_scale: float = 1.0,
    disambig_syms: str = "",
    reorder: bool = True,
) -> None:
    """Add self-loops and their probabilities to a graph over transition-ids.

    Usage: add-self-loops [options] <model> [<fst-in> [<fst-out>]]
    """
    from kaldi.hmm.graphs import SelfLoops
    from kaldi.hmm.transition_model import read_transition_model

    _check_reorder(reorder)
    symbols = _read_labels(disambig_syms) if disambig_syms else ()
    fst = read_fst(fst_in)
    if fst.start < 0:
        raise KaldiError(f"{fst_in}: the graph is empty (are the words of the language model in the lexicon?)")
    write_fst(fst_out, SelfLoops(read_transition_model(model), self_loop_scale).add_to(fst, symbols))


def _check_reorder(reorder: bool) -> None:
    if not reorder:
        raise KaldiError("--reorder=false is not supported: all Kaldi scripts make graphs with --reorder=true")


def _compile_graphs(
    tree: str,
    model: str,
    lexicon: str,
    transcripts: Iterator[tuple[str, Any]],
    compile_batch: Callable[[TrainGraphCompiler, list], list[Fst | None]],
    graphs: str,
    *,
    read_disambig_syms: str = "",
    batch_size: int = 250,
    transition_scale: float = 0.0,
    self_loop_scale: float = 0.0,
    reorder: bool = True,
    rm_eps: bool = False,
) -> None:
    """Write the graph of each transcript, or whatever the method `compile_batch` takes. An empty lexicon is none."""
    from kaldi.decoder.training_graphs import TrainGraphCompiler
    from kaldi.hmm.transition_model import read_transition_model
    from kaldi.tree.context_dependency import read_tree

    _check_reorder(reorder)
    symbols = _read_labels(read_disambig_syms) if read_disambig_syms else np.zeros(0, np.int32)
    compiler = TrainGraphCompiler(
        read_tree(tree),
        read_transition_model(model),
        read_fst(lexicon) if lexicon else None,
        symbols,
        transition_scale,
        self_loop_scale,
        rm_eps,
    )
    succeeded = failed = 0
    with TableWriter(graphs, FST) as writer:
        while batch := list(islice(transcripts, max(batch_size, 1))):
            compiled = compile_batch(compiler, [value for _, value in batch])
            for (utterance, _), graph in zip(batch, compiled, strict=True):
                if graph is None:
                    warn(f"{utterance}: empty graph: is every word of the transcript in the lexicon?")
                    failed += 1
                else:
                    writer.write(utterance, graph)
                    succeeded += 1
    log(f"succeeded for {succeeded} graphs, failed for {failed}")
    if not succeeded:
        raise KaldiError("no graph was made (an empty table, or see the warnings above)")


@with_options_of(_compile_graphs)
def compile_train_graphs(tree: str, model: str, lexicon: str, transcripts: str, graphs: str, **options: Any) -> None:
    """Make a graph over transition-ids from each transcript, for alignment.

    Usage: compile-train-graphs [options] <tree> <model> <lexicon-fst> <transcripts-rspecifier> <graphs-wspecifier>
    """
    from kaldi.decoder.training_graphs import TrainGraphCompiler

    table = read_table(transcripts, INT_VECTOR)
    _compile_graphs(tree, model, lexicon, table, TrainGraphCompiler.compile, graphs, **options)


@with_options_of(_compile_graphs)
def compile_train_graphs_fsts(tree: str, model: str, lexicon: str, grammars: str, graphs: str, **options: Any) -> None:
    """Make a graph over transition-ids from each grammar, an FST whose input is words.

    Usage: compile-train-graphs-fsts [options] <tree> <model> <lexicon-fst> <fsts-rspecifier> <graphs-wspecifier>
    """
    from kaldi.decoder.training_graphs import TrainGraphCompiler

    table = read_table(grammars, FST)
    _compile_graphs(tree, model, lexicon, table, TrainGraphCompiler.compile_grammars, graphs, **options)


@with_options_of(_compile_graphs)
def compile_train_graphs_without_lexicon(
    tree: str, model: str, transcripts: str, phones: str, graphs: str, **options: Any
) -> None:
    """Make a graph over transition-ids from each transcript and the phones of its words.

    The phones of the second word of the utterance `utt` have the key `utt.1`.

    Usage: compile-train-graphs-without-lexicon [options] <tree> <model> <transcripts-rspecifier> <phones-rspecifier>
        <graphs-wspecifier>
    """
    from kaldi.decoder.training_graphs import TrainGraphCompiler, pronounced

    table = RandomAccess(phones, INT_VECTOR)

    def with_phones() -> Iterator[tuple[str, Fst]]:
        for utterance, words in read_table(transcripts, INT_VECTOR):
            pronunciations = [table[f"{utterance}.{i}"].tolist() for i in range(len(words))]
            yield utterance, pronounced(words.tolist(), pronunciations)

    _compile_graphs(tree, model, "", with_phones(), TrainGraphCompiler.compile_pronounced, graphs, **options)
