"""Programs that rescore lattices with other language models."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from kaldi.base.log import KaldiError, done, log, warn
from kaldi.fstext.io import FST, read_fst
from kaldi.lat.io import COMPACT_LATTICE
from kaldi.lat.lattice import Lattice
from kaldi.programs.lattice_common import Lattices, check_beam, invertible, lattice_form
from kaldi.util.io import open_input
from kaldi.util.table import RandomAccess, is_specifier, program, read_file, read_table, write_file

if TYPE_CHECKING:
    from collections.abc import Callable


def arpa_to_const_arpa(
    arpa: str,
    const_arpa: str,
    *,
    bos_symbol: int = -1,
    eos_symbol: int = -1,
    unk_symbol: int = -1,
    max_arpa_warnings: int = 30,
) -> None:
    """Convert a language model in ARPA format, whose words are numbers (utils/map_arpa_lm.pl), for rescoring.

    (--max-arpa-warnings is accepted and has no effect, as there are none.)

    Usage: arpa-to-const-arpa --bos-symbol=N --eos-symbol=N [--unk-symbol=N] <input-arpa> <const-arpa>
    """
    from kaldi.lm.const_arpa import CONST_ARPA, build

    if bos_symbol < 1 or eos_symbol < 1 or bos_symbol == eos_symbol:
        raise KaldiError("give --bos-symbol and --eos-symbol, the numbers of <s> and </s> in words.txt")
    with open_input(arpa) as reader:
        model = build(reader.each_line(), reader.name, bos_symbol, eos_symbol, unk_symbol)
    write_file(const_arpa, CONST_ARPA, model)


def _rescored(lattices: str, rescore: Callable[[Lattice], Lattice]) -> Lattices:
    """What `rescore` makes of each lattice; those that have no path then are named, left out and counted."""
    count = failed = 0
    for key, lattice in read_table(lattices, COMPACT_LATTICE):
        result = rescore(lattice)
        if not result.num_states:
            warn(
                f"{key} is left out: no path of its lattice is in the language model (other words.txt?), or it is empty"
            )
            failed += 1
            continue
        count += 1
        yield key, result
    done(count, "lattices", failed)


@program(COMPACT_LATTICE)
def lattice_lmrescore(
    lattices: str, lm: str, out: str, *, lm_scale: float = 1.0, num_states_cache: int = 50000
) -> Lattices:
    """Add the costs of the best paths through a language model, times a scale, to the graph costs of lattices.

    (--num-states-cache is accepted and has no effect.)

    Usage: lattice-lmrescore [options] <lattice-rspecifier> <lm-fst> <lattice-wspecifier>
    """
    from kaldi.fstext.ops import project
    from kaldi.lat.compose import Acceptor, composed
    from kaldi.lat.rescore import rescored

    right = Acceptor.of_fst(project(read_fst(lm), output=True))
    yield from _rescored(lattices, lambda lattice: rescored(lattice, lambda scaled: composed(scaled, right), lm_scale))


@program(COMPACT_LATTICE)
def lattice_lmrescore_const_arpa(lattices: str, const_arpa: str, out: str, *, lm_scale: float = 1.0) -> Lattices:
    """Add the costs of a const ARPA model, times a scale, to the graph costs of lattices.

    Usage: lattice-lmrescore-const-arpa [options] <lattice-rspecifier> <const-arpa> <lattice-wspecifier>
    """
    from kaldi.lat.compose import with_const_arpa
    from kaldi.lat.rescore import rescored
    from kaldi.lm.const_arpa import CONST_ARPA

    add = partial(with_const_arpa, model=read_file(const_arpa, CONST_ARPA))
    yield from _rescored(lattices, lambda lattice: rescored(lattice, add, lm_scale))


@program(COMPACT_LATTICE)
def lattice_lmrescore_pruned(
    lm_to_subtract: str,
    lm_to_add: str,
    lattices: str,
    out: str,
    *,
    acoustic_scale: float = 1.0,
    lm_scale: float = 1.0,
    add_const_arpa: bool = False,
    lattice_compose_beam: float = 6.0,
    max_arcs: int = 100000,
) -> Lattices:
    """Take the costs of one language model from lattices, add those of another, and prune the result.

    Usage: lattice-lmrescore-pruned [options] <lm-to-subtract> <lm-to-add> <lattice-rspecifier> <lattice-wspecifier>
    """
    from kaldi.lat.compose import backoff_acceptor, composed, pruned_to, with_const_arpa
    from kaldi.lm.const_arpa import CONST_ARPA

    check_beam(lattice_compose_beam)
    scale = invertible(acoustic_scale)
    old = backoff_acceptor(read_fst(lm_to_subtract), -lm_scale)
    add: Callable[[Lattice], Lattice]
    if add_const_arpa:
        add = partial(with_const_arpa, model=read_file(lm_to_add, CONST_ARPA), scale=lm_scale)
    else:
        add = partial(composed, right=backoff_acceptor(read_fst(lm_to_add), lm_scale), phi=0)

    def rescore(lattice: Lattice) -> Lattice:
        added = add(composed(lattice.scaled(scale), old, phi=0))
        return (
            pruned_to(added, lattice_compose_beam, max_arcs).scaled(np.linalg.inv(scale)) if added.num_states else added
        )

    yield from _rescored(lattices, rescore)


@program(lattice_form)
def lattice_compose(
    lattices: str,
    right: str,
    out: str,
    *,
    write_compact: bool = True,
    compose_with_fst: str = "auto",
    phi_label: int = -1,
    rho_label: int = -1,
    num_states_cache: int = 50000,
) -> Lattices:
    """Compose lattices, by their words, with a transducer, or with a table of transducers or of lattices.

    (--num-states-cache is accepted and has no effect.)

    Usage: lattice-compose [options] <lattice-rspecifier1> <lattice-rspecifier2|fst-rxfilename2|fst-rspecifier2>
    <lattice-wspecifier>
    """
    from kaldi.lat.compose import Acceptor, composed

    if compose_with_fst.lower() not in ("auto", "true", "false"):
        raise KaldiError(f"--compose-with-fst={compose_with_fst}: expected auto, true or false")
    if 0 in (phi_label, rho_label):
        raise KaldiError("--phi-label and --rho-label cannot be 0, the label of epsilon")
    with_fst = compose_with_fst.lower() == "true"
    table = RandomAccess(right, FST if with_fst else COMPACT_LATTICE) if is_specifier(right) else None
    one = None if table else Acceptor.of_fst(read_fst(right), phi_label)
    count = failed = 0
    for key, lattice in read_table(lattices, COMPACT_LATTICE):
        acceptor, value = one, table.get(key) if table else None
        if value is not None:
            acceptor = Acceptor.of_fst(value, phi_label) if with_fst else Acceptor.of_lattice(value)
        if acceptor is None:
            warn(f"{key} is left out: nothing to compose with in {right}")
            failed += 1
            continue
        result = composed(lattice, acceptor, phi_label, rho_label)
        if not result.num_states:
            warn(f"{key} is left out: its lattice and {right} have no path in common")
            failed += 1
            continue
        count += 1
        yield key, result
    done(count, "lattices", failed)


@program(COMPACT_LATTICE)
def lattice_determinize(
    lattices: str,
    out: str,
    *,
    acoustic_scale: float = 1.0,
    beam: float = 10.0,
    beam_ratio: float = 0.9,
    delta: float = 0.0009765625,
    max_loop: int = 500000,
    max_mem: int = 50000000,
    minimize: bool = False,
    num_loops: int = 20,
    prune: bool = False,
) -> Lattices:
    """Determinise lattices on words, with --prune within a beam (lattice-determinize-pruned is its successor).

    (--beam-ratio, --max-loop and --num-loops are accepted and have no effect: too deep lattices are pruned as by
    lattice-determinize-pruned.)

    Usage: lattice-determinize [options] <lattice-rspecifier> <lattice-wspecifier>
    """
    from kaldi.lat.determinize import UNLIMITED, determinized
    from kaldi.lat.minimize import minimized
    from kaldi.lat.paths import pruned

    check_beam(beam)
    scale = invertible(acoustic_scale)
    count = failed = 0
    for key, lattice in read_table(lattices, COMPACT_LATTICE):
        lattice = lattice.scaled(scale)
        result, complete = determinized(lattice, beam if prune else UNLIMITED, delta, max_mem if prune else -1)
        if not result.num_states:
            warn(f"{key} is left out: its lattice is empty or reaches no final state")
            failed += 1
            continue
        if not complete:
            warn(f"{key}: pruned tighter than the beam, to keep to --max-mem")
        result = pruned(result, beam) if prune else result
        count += 1
        yield key, (minimized(result) if minimize else result).scaled(np.linalg.inv(scale))
    log(f"Determinized {count} lattices")
    done(count, "lattices", failed)
