"""Supervisions: the sequences of pdfs that a transcript allows, for training by lattice-free MMI
(Kaldi: chain/chain-supervision.h).

    for utterance, supervision in read_table("ark:gunzip -c sup.1.gz |", SUPERVISION): ...
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.fstext.fst import Fst
from kaldi.fstext.io import FST, compact_acceptor_bytes, read_binary
from kaldi.util.io import Output, Reader
from kaldi.util.kinds import Kind


@dataclass
class Supervision:
    """fst: an acceptor without epsilons whose arcs are frames (of the network's output, so of the subsampled rate).

    Its labels are pdf-id + 1, its costs what a path costs more than the best by the lattice's
    language model, times --lm-scale (0 by default). States
    are in topological order from the start state 0, and every path has num_sequences * frames_per_sequence arcs:
    sequences of a minibatch lie one behind the other. weight: what the objective of these frames counts. label_dim:
    the number of pdfs (of transition-ids, for labels that are these).
    """

    weight: float
    num_sequences: int
    frames_per_sequence: int
    label_dim: int
    fst: Fst

    @property
    def num_frames(self) -> int:
        return self.num_sequences * self.frames_per_sequence

    def state_times(self) -> np.ndarray:
        """int32[states]: the frame that the arcs of each state are of; num_frames where the paths end.

        Raises KaldiError when the acceptor is not one of whole frames with labels 1..label_dim.
        """
        fst = self.fst
        times = [0] * fst.num_states
        targets, offsets = fst.nextstate.tolist(), fst.offsets.tolist()
        for state in range(fst.num_states):
            for target in targets[offsets[state] : offsets[state + 1]]:
                times[target] = times[state] + 1
        result = np.array(times, np.int32)
        sources = fst.sources()
        ends = np.isfinite(fst.final)
        if (
            fst.start != 0
            or not ends.any()
            or (result[ends] != self.num_frames).any()
            or (fst.nextstate <= sources).any()
            or (result[fst.nextstate] != result[sources] + 1).any()
            or not 1 <= fst.ilabel.min(initial=1) <= fst.ilabel.max(initial=1) <= self.label_dim
        ):
            raise KaldiError(f"the supervision is not of {self.num_frames} frames with labels 1..{self.label_dim}")
        return result


def _read_supervision(reader: Reader, binary: bool) -> Supervision:
    reader.expect("<Supervision>")
    reader.expect("<Weight>")
    weight = reader.real(binary)
    reader.expect("<NumSequences>")
    num_sequences = reader.integer(binary)
    reader.expect("<FramesPerSeq>")
    frames_per_sequence = reader.integer(binary)
    reader.expect("<LabelDim>")
    label_dim = reader.integer(binary)
    reader.expect("<End2End>")
    if reader.boolean(binary):
        raise KaldiError(f"{reader.name}: a supervision for training without alignments, which is not supported")
    fst = read_binary(reader) if binary else FST.read(reader, False)
    reader.expect("</Supervision>")
    return Supervision(weight, num_sequences, frames_per_sequence, label_dim, fst)


def _write_supervision(out: Output, supervision: Supervision, binary: bool) -> None:
    out.token("<Supervision>")
    out.token("<Weight>")
    out.real(supervision.weight, binary)
    for name, number in (
        ("<NumSequences>", supervision.num_sequences),
        ("<FramesPerSeq>", supervision.frames_per_sequence),
        ("<LabelDim>", supervision.label_dim),
    ):
        out.token(name)
        out.integer(number, binary)
    out.token("<End2End>")
    out.boolean(False, binary)
    if binary:
        out.write(compact_acceptor_bytes(supervision.fst))
    else:
        FST.write(out, supervision.fst, False)
    out.token("</Supervision>")


SUPERVISION = Kind("supervision", _read_supervision, _write_supervision)
