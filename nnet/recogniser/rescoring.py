"""Rescoring with the large language model of a packed model, as steps/lmrescore_const_arpa.sh does it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from kaldi.base.log import KaldiError
from kaldi.fstext.io import read_fst
from kaldi.fstext.ops import project
from kaldi.lat.compose import Acceptor, composed, with_const_arpa
from kaldi.lat.lattice import Lattice
from kaldi.lat.rescore import rescored
from kaldi.lm.const_arpa import CONST_ARPA
from kaldi.util.table import read_file


class Rescoring:
    """The language model that the graph was made of, whose costs are taken away, and the large one."""

    def __init__(self, small: Path, large: Path) -> None:
        """small: its G.fst; large: its G.carpa. Raises KaldiError."""
        self._small_path = small
        self._small = Acceptor.of_fst(project(read_fst(str(small)), output=True))
        self._large = read_file(str(large), CONST_ARPA)

    def __call__(self, lattice: Lattice) -> Lattice:
        """The lattice with the large model's costs. Raises KaldiError for one whose words the models do not have."""
        without = rescored(lattice, partial(composed, right=self._small), -1.0)
        result = rescored(without, partial(with_const_arpa, model=self._large), 1.0)
        if not result.num_states:
            raise KaldiError(f"{self._small_path} is not the language model of the graph: pack the model again")
        return result
