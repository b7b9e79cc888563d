"""Programs that make one lattice of those of several systems for an utterance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kaldi.base.log import KaldiError, done, warn
from kaldi.lat.io import COMPACT_LATTICE
from kaldi.lat.lattice import Lattice, union
from kaldi.programs.lattice_common import Lattices, one_acoustic_scale
from kaldi.util.table import RandomAccess, program, read_table


@program(COMPACT_LATTICE)
def lattice_union(first: str, second: str, out: str) -> Lattices:
    """The paths of both lattices of each utterance; of equal word sequences the better one.

    Usage: lattice-union [options] <lattice-rspecifier1> <lattice-rspecifier2> <lattice-wspecifier>
    """
    from kaldi.lat.determinize import UNLIMITED, determinized

    table = RandomAccess(second, COMPACT_LATTICE)
    count = 0
    for key, lattice in read_table(first, COMPACT_LATTICE):
        other = table.get(key)
        if other is None:
            warn(f"{key}: no lattice in {second}; it is that of {first} alone")
        both = [one for one in (lattice, other) if one is not None and one.num_states]
        yield key, determinized(union(both), UNLIMITED)[0]
        count += 1
    done(count, "lattices")


@program(COMPACT_LATTICE)
def lattice_interp(first: str, second: str, out: str, *, alpha: float = 0.5) -> Lattices:
    """The word sequences that both lattices of an utterance have, with alpha times the costs of the first and
    1 - alpha times those of the second; the alignments are those of the first.

    Usage: lattice-interp [options] <lattice-rspecifier1> <lattice-rspecifier2> <lattice-wspecifier>
    """
    from kaldi.lat.compose import Acceptor, composed
    from kaldi.lat.determinize import UNLIMITED, determinized

    if not 0 <= alpha <= 1:
        raise KaldiError(f"--alpha={alpha:g}: expected a number from 0 to 1")
    table = RandomAccess(second, COMPACT_LATTICE)
    count = failed = 0
    for key, lattice in read_table(first, COMPACT_LATTICE):
        other = table.get(key)
        if other is None:
            warn(f"{key} is left out: no lattice in {second}")
            failed += 1
            continue
        words = Acceptor.of_lattice(other.scaled((1 - alpha) * np.eye(2)).on_words())
        result = composed(lattice.scaled(alpha * np.eye(2)), words)
        if not result.num_states:
            warn(f"{key} is left out: the lattices have no word sequence in common")
            failed += 1
            continue
        yield key, determinized(result, UNLIMITED)[0]
        count += 1
    done(count, "lattices", failed)


@program(COMPACT_LATTICE)
def lattice_combine(
    first: str,
    second: str,
    *rest: str,
    acoustic_scale: float = 1.0,
    inv_acoustic_scale: float = 1.0,
    lm_scale: float = 1.0,
    lat_weights: str = "",
) -> Lattices:
    """The paths of all lattices of each utterance, with their posteriors in their own lattice, times its weight, as
    costs: for minimum Bayes risk decoding. The scales are not undone.

    Usage: lattice-combine [options] <lattice-rspecifier1> <lattice-rspecifier2> [<lattice-rspecifier3> ...]
    <lattice-wspecifier>
    """
    from kaldi.lat.paths import posteriors

    if not rest:
        raise KaldiError("expected two or more tables of lattices to read and one to write (see --help)")
    sources = [first, second, *rest[:-1]]
    weights = _lattice_weights(lat_weights, len(sources))
    scale = np.diag([lm_scale, one_acoustic_scale(acoustic_scale, inv_acoustic_scale)])
    tables = [RandomAccess(source, COMPACT_LATTICE) for source in sources[1:]]

    def of_systems(key: str, lattice: Lattice) -> Iterator[Lattice]:
        lattices = [lattice, *(table.get(key) for table in tables)]
        for one, weight, source in zip(lattices, weights, sources, strict=True):
            one = one.scaled(scale).connected() if one is not None else None
            if one is None or not one.num_states:
                warn(f"{key}: no lattice, or an empty one, in {source}")
                continue
            _, _, total = posteriors(one)
            final_weights = one.final_weights + np.array([total - np.log(weight), 0.0])
            yield one.with_weights(one.weights, final_weights)

    count = failed = 0
    for key, lattice in read_table(first, COMPACT_LATTICE):
        found = list(of_systems(key, lattice))
        if not found:
            failed += 1
            continue
        yield key, union(found)
        count += 1
    done(count, "lattices", failed)


def _lattice_weights(text: str, count: int) -> list[float]:
    """The weights of --lat-weights, or equal ones."""
    try:
        weights = [float(part) for part in text.split(":")] if text else [1.0 / count] * count
    except ValueError:
        raise KaldiError(f"--lat-weights={text}: expected numbers separated by colons") from None
    if len(weights) != count or not all(weight > 0 for weight in weights):
        raise KaldiError(f"--lat-weights={text}: expected {count} numbers above 0, one for each table of lattices")
    if abs(sum(weights) - 1) > 0.001:
        warn(f"--lat-weights={text}: the weights do not sum to 1")
    return weights
