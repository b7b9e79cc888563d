"""Programs on features: computing, copying, selecting, splicing, deltas, transforms, CMVN."""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kaldi.log import done
from kaldi.table import FLOAT_MATRIX, program, read_table

Features = Iterator[tuple[str, np.ndarray]]


@program(FLOAT_MATRIX)
def subset_feats(feats: str, out: str, *, n: int = 10, include: str = "", exclude: str = "") -> Features:
    """Copy the first n utterances' features.

    Usage: subset-feats [options] <feats-rspecifier> <feats-wspecifier>
    """
    count = 0
    for key, matrix in read_table(feats, FLOAT_MATRIX):
        if count == n:
            break
        count += 1
        yield key, matrix
    done(count, "utterances")
