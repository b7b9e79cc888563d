"""Supervisions: the sequences of pdfs that a transcript allows, for training by lattice-free MMI
(Kaldi: chain/chain-supervision.h).

    for utterance, supervision in read_table("ark:gunzip -c sup.1.gz |", SUPERVISION): ...
"""

from __future__ import annotations

from collections.abc import Callable
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


@dataclass
class EndToEndSupervision:
    """What a transcript allows without an alignment (Hadian, Sameti, Povey, Khudanpur: End-to-end speech recognition
    using lattice-free MMI, Interspeech 2018).

    fsts: for each sequence an acceptor of pdf-id + 1 without epsilons, with loops, of whose paths those of
    frames_per_sequence arcs are meant. weight, frames_per_sequence, label_dim: as those of Supervision.
    """

    weight: float
    frames_per_sequence: int
    label_dim: int
    fsts: list[Fst]

    @property
    def num_sequences(self) -> int:
        return len(self.fsts)

    @property
    def num_frames(self) -> int:
        return self.num_sequences * self.frames_per_sequence

    def check(self) -> None:
        """Raise KaldiError for other labels than 1..label_dim, and where no path is as short as the sequence."""
        for fst in self.fsts:
            if not 1 <= fst.ilabel.min(initial=1) <= fst.ilabel.max(initial=1) <= self.label_dim:
                raise KaldiError(f"the graph of the supervision has other labels than 1..{self.label_dim}")
            shortest = _shortest_path(fst)
            if shortest is None:
                raise KaldiError("no path through the graph of the supervision ends")
            if shortest > self.frames_per_sequence:
                raise KaldiError(
                    f"the shortest path through its graph has {shortest} frames, its features give "
                    f"{self.frames_per_sequence}: too short for its transcript"
                )


AnySupervision = Supervision | EndToEndSupervision


def _shortest_path(fst: Fst) -> int | None:
    """The least number of arcs from the start to a final state; None if there is no such path."""
    source, ends = fst.sources(), np.isfinite(fst.final)
    reached = np.zeros(fst.num_states, bool)
    new = np.arange(fst.num_states) == fst.start
    length = 0
    while new.any():
        if ends[new].any():
            return length
        reached |= new
        following = fst.nextstate[new[source]]
        new = np.zeros(fst.num_states, bool)
        new[following] = True
        new &= ~reached
        length += 1
    return None


def _read_supervision(reader: Reader, binary: bool) -> AnySupervision:
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
    end_to_end = reader.boolean(binary)
    read_fst: Callable[[], Fst] = (lambda: read_binary(reader)) if binary else (lambda: FST.read(reader, False))
    supervision: AnySupervision
    if end_to_end:
        reader.expect("<Fsts>")
        fsts = [read_fst() for _ in range(num_sequences)]
        reader.expect("</Fsts>")
        supervision = EndToEndSupervision(weight, frames_per_sequence, label_dim, fsts)
    else:
        supervision = Supervision(weight, num_sequences, frames_per_sequence, label_dim, read_fst())
    reader.expect("</Supervision>")
    return supervision


def _write_supervision(out: Output, supervision: AnySupervision, binary: bool) -> None:
    end_to_end = isinstance(supervision, EndToEndSupervision)
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
    out.boolean(end_to_end, binary)
    if end_to_end:
        out.token("<Fsts>")
    for fst in supervision.fsts if isinstance(supervision, EndToEndSupervision) else [supervision.fst]:
        if binary:
            out.write(compact_acceptor_bytes(fst))
        else:
            FST.write(out, fst, False)
    if end_to_end:
        out.token("</Fsts>")
    out.token("</Supervision>")


SUPERVISION = Kind("supervision", _read_supervision, _write_supervision)
