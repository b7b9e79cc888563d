"""Programs that prepare training by lattice-free MMI."""

from __future__ import annotations

from collections.abc import Iterator

from kaldi.base.log import KaldiError
from kaldi.chain.supervision import SUPERVISION, Supervision
from kaldi.fstext.io import read_fst, write_fst
from kaldi.programs.loops import converted, counted
from kaldi.util.kinds import INT_PAIRS, INT_VECTOR
from kaldi.util.table import program, read_table


def chain_est_phone_lm(
    phone_sequences: str,
    fst_out: str,
    *,
    ngram_order: int = 4,
    no_prune_ngram_order: int = 3,
    num_extra_lm_states: int = 1000,
) -> None:
    """Estimate the phone language model of the denominator: n-grams without smoothing, as a deterministic acceptor.

    Usage: chain-est-phone-lm [options] <phone-seqs-rspecifier> <phone-lm-fst-out>
    """
    from kaldi.chain.phone_lm import PhoneLanguageModel

    model = PhoneLanguageModel(ngram_order, no_prune_ngram_order, num_extra_lm_states)
    for utterance, phones in counted(read_table(phone_sequences, INT_VECTOR), "utterances"):
        if phones.min(initial=1) < 1:
            raise KaldiError(f"{utterance}: phone {phones.min()} is no phone, they are numbered from 1")
        model.add(phones.tolist())
    write_fst(fst_out, model.fst())


def chain_make_den_fst(tree: str, transition_model: str, phone_lm: str, denominator: str, normalization: str) -> None:
    """Make the denominator graph, and the one that normalises pieces of utterances, from a phone language model.

    Usage: chain-make-den-fst [options] <tree> <transition-model> <phone-lm-fst> <denominator-fst-out>
        <normalization-fst-out>
    """
    from kaldi.chain.denominator import denominator_graph, normalization_graph
    from kaldi.hmm.graphs import HmmGraphs
    from kaldi.hmm.transition_model import read_transition_model
    from kaldi.tree.context_dependency import read_tree

    hmms = HmmGraphs(read_tree(tree), read_transition_model(transition_model), transition_scale=1.0)
    graph = denominator_graph(read_fst(phone_lm), hmms)
    write_fst(denominator, graph)
    write_fst(normalization, normalization_graph(graph))


@program(SUPERVISION)
def chain_get_supervision(
    tree: str,
    transition_model: str,
    phones: str,
    out: str,
    *,
    lattice_input: bool = False,
    convert_to_pdfs: bool = True,
    frame_subsampling_factor: int = 1,
    left_tolerance: int = 5,
    right_tolerance: int = 5,
    lm_scale: float = 0.0,
    weight: float = 1.0,
) -> Iterator[tuple[str, Supervision]]:
    """Make supervisions for lattice-free MMI from phones with lengths, or from lattices of phones (--lattice-input).

    Utterances that have none, because they are too short for instance, are named, left out and counted. As in Kaldi,
    --weight has no effect: the weight is given to the pieces of utterances that are trained on.

    Usage: chain-get-supervision [options] <tree> <transition-model>
        <phones-with-lengths-rspecifier>|<phone-lattice-rspecifier> <supervision-wspecifier>
    """
    from kaldi.chain.numerator import SupervisionCompiler, Tolerance, of_alignment, of_lattice
    from kaldi.hmm.graphs import HmmGraphs
    from kaldi.hmm.transition_model import read_transition_model
    from kaldi.lat.io import COMPACT_LATTICE
    from kaldi.tree.context_dependency import read_tree

    hmms = HmmGraphs(read_tree(tree), read_transition_model(transition_model), transition_scale=0.0)
    tolerance = Tolerance(left_tolerance, right_tolerance, frame_subsampling_factor)
    compiler = SupervisionCompiler(hmms, tolerance, convert_to_pdfs)

    def supervision(value: object) -> Supervision:
        return compiler.compile(of_lattice(value, lm_scale) if lattice_input else of_alignment(value))  # type: ignore

    table = read_table(phones, COMPACT_LATTICE if lattice_input else INT_PAIRS)
    yield from converted(table, supervision, "utterances")
