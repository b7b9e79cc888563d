"""HMM topologies: the states, pdf classes and transitions of each phone (Kaldi: hmm/hmm-topology.h)."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from kaldi.base.log import KaldiError, warn
from kaldi.util.io import Output, Reader, number_text
from kaldi.util.kinds import INT_VECTOR_FILE, Kind
from kaldi.util.table import read_file

NO_PDF = -1
PAIR = np.dtype([("size_a", "i1"), ("state", "<i4"), ("size_b", "i1"), ("prob", "<f4")])


class HmmState(NamedTuple):
    """A state of a topology entry: pdf classes (NO_PDF if not emitting) and transitions (state, probability)."""

    forward_pdf_class: int
    self_loop_pdf_class: int
    transitions: tuple[tuple[int, float], ...]


class HmmTopology:
    """The HMM of each phone: `entries` are lists of states, the last one final; `entry_of[phone]` is an index or -1."""

    def __init__(self, entries: list[list[HmmState]], entry_of: np.ndarray):
        self.entries, self.entry_of = entries, np.asarray(entry_of, np.int32)
        self.phones = np.flatnonzero(self.entry_of >= 0).astype(np.int32)

    def states(self, phone: int) -> list[HmmState]:
        """The states of a phone's HMM. Raises KaldiError for a phone that the topology lacks."""
        if not 0 <= phone < len(self.entry_of) or self.entry_of[phone] < 0:
            raise KaldiError(f"phone {phone} is not in the topology (are the lang directory and the model a pair?)")
        return self.entries[self.entry_of[phone]]

    def num_pdf_classes(self, phone: int) -> int:
        return 1 + max(max(s.forward_pdf_class, s.self_loop_pdf_class) for s in self.states(phone))

    def shortest_path(self, phone: int) -> list[tuple[int, int]]:
        """(emitting state, index of its transition) along the path through a phone with the fewest frames."""
        states = self.states(phone)
        best: list[list[tuple[int, int]] | None] = [[], *([None] * (len(states) - 1))]
        for _ in states:  # as many rounds as a path can have states
            for number, state in enumerate(states):
                path = best[number]
                if path is None:
                    continue
                for index, (target, _) in enumerate(state.transitions):
                    longer = path if state.forward_pdf_class == NO_PDF else [*path, (number, index)]
                    known = best[target]
                    if known is None or len(longer) < len(known):
                        best[target] = longer
        assert best[-1] is not None  # the end is reachable: checked when the topology was read
        return best[-1]

    def path(self, phone: int, length: int) -> list[tuple[int, int]] | None:
        """A path of `length` frames through a phone, as shortest_path, or None if there is none.

        Its states stay as equally long as can be; self-loops come before the transition out of the state.
        """
        shortest, states = self.shortest_path(phone), self.states(phone)
        targets = {state: [target for target, _ in states[state].transitions] for state, _ in shortest}
        loops = [targets[state].index(state) if state in targets[state] else -1 for state, _ in shortest]
        left, places = length - len(shortest), sum(loop >= 0 for loop in loops)
        if left < 0 or (left and not places):
            return None
        path: list[tuple[int, int]] = []
        for (state, index), loop in zip(shortest, loops, strict=True):
            if loop >= 0:
                count = -(-left // places)
                path += [(state, loop)] * count
                left, places = left - count, places - 1
            path.append((state, index))
        return path

    @cached_property
    def first_emits(self) -> np.ndarray:
        """Whether the first state of each phone has a pdf; False for numbers that are no phones."""
        return np.array([entry >= 0 and self.entries[entry][0].forward_pdf_class != NO_PDF for entry in self.entry_of])

    @cached_property
    def is_hmm(self) -> bool:
        """Whether every state has the same pdf on its self-loop as on its other transitions."""
        return all(s.forward_pdf_class == s.self_loop_pdf_class for entry in self.entries for s in entry)


def _read_topology(reader: Reader, binary: bool) -> HmmTopology:
    reader.expect("<Topology>")
    return _check_topology(_read_topology_binary(reader) if binary else _read_topology_text(reader), reader.name)


def _read_topology_binary(reader: Reader) -> HmmTopology:
    INT_VECTOR_FILE.read(reader, True)  # the phones, which entry_of says as well
    entry_of = INT_VECTOR_FILE.read(reader, True)
    count = reader.integer(True)
    is_hmm = count != -1
    if not is_hmm:
        count = reader.integer(True)
    entries = []
    for _ in range(count):
        states = []
        for _ in range(reader.integer(True)):
            forward = reader.integer(True)
            loop = forward if is_hmm else reader.integer(True)
            pairs = reader.array(PAIR, reader.integer(True))
            transitions = tuple(zip(pairs["state"].tolist(), pairs["prob"].tolist(), strict=True))
            states.append(HmmState(forward, loop, transitions))
        entries.append(states)
    reader.expect("</Topology>")
    return HmmTopology(entries, entry_of)


def _read_topology_text(reader: Reader) -> HmmTopology:
    entries: list[list[HmmState]] = []
    entry_of: dict[int, int] = {}
    while reader.expect("<TopologyEntry>", "</Topology>") == "<TopologyEntry>":
        reader.expect("<ForPhones>")
        while (word := reader.token()) != "</ForPhones>":
            if int(word) < 1 or int(word) in entry_of:
                raise KaldiError(f"{reader.name}: phone {word} is in several topology entries, or not positive")
            entry_of[int(word)] = len(entries)
        entries.append(_read_states_text(reader))
    dense = np.full(1 + max(entry_of, default=0), -1, np.int32)
    dense[list(entry_of)] = list(entry_of.values())
    return HmmTopology(entries, dense)


def _read_states_text(reader: Reader) -> list[HmmState]:
    states: list[HmmState] = []
    while reader.expect("<State>", "</TopologyEntry>") == "<State>":
        if reader.integer(False) != len(states):
            raise KaldiError(f"{reader.name}: the states of a topology entry are not numbered 0, 1, 2, ...")
        forward = loop = NO_PDF
        transitions = []
        while (word := reader.token()) != "</State>":
            if word == "<PdfClass>":
                forward = loop = reader.integer(False)
            elif word == "<ForwardPdfClass>":
                forward = reader.integer(False)
            elif word == "<SelfLoopPdfClass>":
                loop = reader.integer(False)
            elif word == "<Transition>":
                transitions.append((reader.integer(False), float(np.float32(reader.real(False)))))
            else:
                raise KaldiError(f"{reader.name}: unexpected {word} in a topology")
        states.append(HmmState(forward, loop, tuple(transitions)))
    return states


def _check_topology(topology: HmmTopology, name: str) -> HmmTopology:
    if not topology.entries or not len(topology.phones):
        raise KaldiError(f"{name}: the topology is empty")
    for states in topology.entries:
        if len(states) < 2 or states[-1].transitions or states[-1].forward_pdf_class != NO_PDF:
            raise KaldiError(f"{name}: the last state of a topology entry must be final: no pdf, no transitions")
        targets = {t for s in states for t, _ in s.transitions}
        if not targets <= set(range(len(states))) or not set(range(1, len(states))) <= targets:
            raise KaldiError(f"{name}: a topology entry has transitions to unknown states, or unreachable states")
        for state in states[:-1]:
            total = sum(p for _, p in state.transitions)
            if any(p <= 0 for _, p in state.transitions) or total <= 0:
                raise KaldiError(f"{name}: a state of the topology has no transitions, or one without probability")
            if abs(total - 1.0) > 0.01:
                warn(f"{name}: the transition probabilities of a state of the topology sum to {total:.7g}")
        classes = sorted({c for s in states for c in (s.forward_pdf_class, s.self_loop_pdf_class)} - {NO_PDF})
        if classes != list(range(len(classes))):
            raise KaldiError(f"{name}: pdf classes must be 0, 1, 2, ... without gaps")
    return topology


def _write_topology(out: Output, topology: HmmTopology, binary: bool) -> None:
    if not binary:
        out.write(_topology_text(topology).encode())
        return
    out.token("<Topology>")
    INT_VECTOR_FILE.write(out, topology.phones, True)
    INT_VECTOR_FILE.write(out, topology.entry_of, True)
    if not topology.is_hmm:
        out.integer(-1, True)
    out.integer(len(topology.entries), True)
    for states in topology.entries:
        out.integer(len(states), True)
        for state in states:
            out.integer(state.forward_pdf_class, True)
            if not topology.is_hmm:
                out.integer(state.self_loop_pdf_class, True)
            out.integer(len(state.transitions), True)
            for target, probability in state.transitions:
                out.integer(target, True)
                out.real(probability, True)
    out.token("</Topology>")


def _topology_text(topology: HmmTopology) -> str:
    lines = ["<Topology>"]
    for index, states in enumerate(topology.entries):
        phones = " ".join(map(str, np.flatnonzero(topology.entry_of == index)))
        lines += ["<TopologyEntry>", "<ForPhones>", phones, "</ForPhones>"]
        for number, state in enumerate(states):
            words = [f"<State> {number}"]
            if state.forward_pdf_class != NO_PDF and topology.is_hmm:
                words.append(f"<PdfClass> {state.forward_pdf_class}")
            elif state.forward_pdf_class != NO_PDF:
                words.append(f"<ForwardPdfClass> {state.forward_pdf_class}")
                words.append(f"<SelfLoopPdfClass> {state.self_loop_pdf_class}")
            words += [f"<Transition> {target} {number_text(p)}" for target, p in state.transitions]
            lines.append(" ".join([*words, "</State>"]))
        lines.append("</TopologyEntry>")
    return "".join(f"{line} \n" for line in [*lines, "</Topology>"])


TOPOLOGY = Kind("HMM topology", _read_topology, _write_topology)


def read_topology(rxfilename: str) -> HmmTopology:
    return read_file(rxfilename, TOPOLOGY)
