"""What fstinfo tells of a transducer."""

from __future__ import annotations

import numpy as np

from kaldi.fstext.fst import Fst
from kaldi.fstext.ops import accessible, coaccessible, is_sorted


def _components(fst: Fst) -> tuple[int, np.ndarray]:
    """Number of strongly connected components, and int32[N] the component of each state."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(fst.num_arcs, np.int8)
    graph = csr_matrix((ones, (fst.sources(), fst.nextstate)), shape=(fst.num_states, fst.num_states))
    graph.data[:] = 1
    return connected_components(graph, directed=True, connection="strong")


def facts(fst: Fst) -> list[tuple[str, object]]:
    """What fstinfo tells of a transducer: (name, value) in its order."""
    n, source = fst.num_states, fst.sources()
    reached, ending = accessible(fst), coaccessible(fst)
    strong, component = _components(fst) if n else (0, np.zeros(0, np.int32))
    loops = source == fst.nextstate
    sizes = np.bincount(component, minlength=strong)
    cyclic = bool(loops.any() or (sizes > 1).any())
    at_start = n > 0 and bool(sizes[component[fst.start]] > 1 or loops[source == fst.start].any())

    def deterministic(labels: np.ndarray) -> bool:
        return len(np.unique(np.column_stack((source, labels)), axis=0)) == fst.num_arcs

    branches = np.diff(fst.offsets) + np.isfinite(fst.final)
    epsilon_in, epsilon_out = fst.ilabel == 0, fst.olabel == 0
    flags = (
        ("acceptor", bool((fst.ilabel == fst.olabel).all())),
        ("input deterministic", deterministic(fst.ilabel)),
        ("output deterministic", deterministic(fst.olabel)),
        ("input/output epsilons", bool((epsilon_in & epsilon_out).any())),
        ("input epsilons", bool(epsilon_in.any())),
        ("output epsilons", bool(epsilon_out.any())),
        ("input label sorted", is_sorted(fst, "ilabel")),
        ("output label sorted", is_sorted(fst, "olabel")),
        ("weighted", bool(fst.weight.any() or fst.final[np.isfinite(fst.final)].any())),
        ("cyclic", cyclic),
        ("cyclic at initial state", at_start),
        ("top sorted", bool((source < fst.nextstate).all())),
        ("accessible", bool(reached.all())),
        ("coaccessible", bool(ending.all())),
        ("string", bool((branches == 1).all() and not cyclic)),
    )
    return [
        ("fst type", "vector"),
        ("arc type", "standard"),
        ("input symbol table", "none"),
        ("output symbol table", "none"),
        ("# of states", n),
        ("# of arcs", fst.num_arcs),
        ("initial state", fst.start),
        ("# of final states", int(np.isfinite(fst.final).sum())),
        ("# of input/output epsilons", int((epsilon_in & epsilon_out).sum())),
        ("# of input epsilons", int(epsilon_in.sum())),
        ("# of output epsilons", int(epsilon_out.sum())),
        ("# of accessible states", int(reached.sum())),
        ("# of coaccessible states", int(ending.sum())),
        ("# of connected states", int((reached & ending).sum())),
        ("# of strongly conn components", strong),
        *((name, "y" if value else "n") for name, value in flags),
    ]
