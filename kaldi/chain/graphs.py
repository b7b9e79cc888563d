"""From a graph of phones to one of transition-ids, as the denominator and the numerator of LF-MMI have it."""

from __future__ import annotations

import kaldifst
import numpy as np

from kaldi.base.log import KaldiError
from kaldi.fstext.fst import Fst
from kaldi.fstext.native import from_native, to_native
from kaldi.hmm.graphs import HmmGraphs, SelfLoops, h_transducer


def expand_phones(phones: Fst, hmms: HmmGraphs, self_loop_scale: float) -> Fst:
    """The graph with transition-ids, self-loops among them, on the input side of an acceptor of phones.

    Raises KaldiError for a phone that the topology lacks.
    """
    known = hmms.model.phones
    foreign = np.setdiff1d(phones.ilabel, np.append(known, 0))
    if len(foreign):
        raise KaldiError(f"phone {foreign[0]} is not in the model's topology: the phones are of another lang directory")
    in_context, contexts = kaldifst.compose_context([], hmms.tree.width, hmms.tree.central, to_native(phones))
    h, _ = h_transducer([tuple(context) for context in contexts], hmms)
    graph = from_native(kaldifst.compose(to_native(h), in_context))
    return SelfLoops(hmms.model, self_loop_scale).add_to(graph)
