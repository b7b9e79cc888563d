"""What HMMs ask of a decision tree, which is built in the room tree/ above (Kaldi: itf/context-dep-itf.h)."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class ContextDependencyInterface(Protocol):
    """A tree over windows of `width` phones that models the one at `central`, from 0."""

    width: int
    central: int

    def compute_all(self, windows: np.ndarray, pdf_classes: np.ndarray) -> np.ndarray:
        """Pdf-ids int32 [n] of windows [n, width] and pdf classes [n]."""
