"""Options of the decoding programs (Kaldi: decoder/lattice-faster-decoder.h, lat/determinize-lattice-pruned.h)."""

from __future__ import annotations

from typing import NamedTuple

from kaldi.base.log import KaldiError

INT32_MAX = 2**31 - 1

BEST_PATH_BEAM = 0.1  # of a lattice that is to hold the best path alone: what rounding may add to its cost


class BestPathOptions(NamedTuple):
    """Kaldi's FasterDecoderOptions."""

    beam: float = 16.0
    max_active: int = INT32_MAX
    min_active: int = 20
    beam_delta: float = 0.5
    hash_ratio: float = 2.0  # taken and not needed, as below


class DecoderOptions(NamedTuple):
    """Kaldi's LatticeFasterDecoderConfig and DeterminizeLatticePhonePrunedOptions."""

    beam: float = 16.0
    max_active: int = INT32_MAX
    min_active: int = 200
    lattice_beam: float = 10.0
    prune_interval: int = 25
    beam_delta: float = 0.5
    hash_ratio: float = 2.0  # taken and not needed: the decoder's tables grow with the tokens
    determinize_lattice: bool = True
    delta: float = 1.0 / 1024
    max_mem: int = 50000000
    phone_determinize: bool = True
    word_determinize: bool = True
    minimize: bool = False

    def check(self) -> None:
        """Raise KaldiError for values that make no sense."""
        if self.beam <= 0 or self.lattice_beam <= 0 or self.beam_delta <= 0 or self.prune_interval <= 0:
            raise KaldiError("--beam, --lattice-beam, --beam-delta and --prune-interval must be positive")
        if self.max_active <= 1 or self.min_active > self.max_active:
            raise KaldiError("--max-active must be more than 1 and not less than --min-active")
