"""Rescoring of lattices with other language models (Kaldi: latbin/lattice-lmrescore{,-const-arpa}.cc)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kaldi.lat.determinize import UNLIMITED, determinized
from kaldi.lat.lattice import Lattice


def rescored(lattice: Lattice, compose: Callable[[Lattice], Lattice], lm_scale: float) -> Lattice:
    """A lattice with lm_scale times the graph costs that `compose` adds; without states if it has no path then.

    The graph costs are divided by the scale before and multiplied after, so that determinisation takes the best path
    through the language model whatever the sign of the scale.
    """
    if lm_scale == 0.0:
        return lattice
    determinised, _ = determinized(compose(lattice.scaled(np.diag([1.0 / lm_scale, 1.0]))), UNLIMITED)
    return determinised.scaled(np.diag([lm_scale, 1.0]))
