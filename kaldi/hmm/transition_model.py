"""HMM topologies and transition models (Kaldi: hmm/hmm-topology.h, hmm/transition-model.h).

A transition-state is a distinct (phone, HMM state, pdf); a transition-id is one transition out of it. Both count
from 1. Everything that programs ask of a transition-id is an array indexed by it, with an unused element 0.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from kaldi.base.log import KaldiError, log
from kaldi.hmm.topology import NO_PDF, TOPOLOGY, HmmTopology
from kaldi.matrix.io import read_vector, write_vector
from kaldi.util.io import Output, Reader
from kaldi.util.kinds import TAGGED, Kind
from kaldi.util.table import read_file


class TransitionModel:
    """Transition-ids and their log-probabilities.

    tuples: int32 [num_states, 4], columns phone, HMM state, forward pdf, self-loop pdf, sorted by rows;
        row s-1 is transition-state s
    log_probs: float32 [num_tids + 1]
    Arrays [num_tids + 1], indexed by transition-id: id2state (transition-state), id2phone, id2hmm_state, id2pdf,
    id2pdf_class, is_self_loop, is_final (leads out of the phone).
    state2id[s] is the first transition-id of transition-state s, for s up to num_states + 1.
    """

    def __init__(self, topology: HmmTopology, tuples: np.ndarray, log_probs: np.ndarray | None = None):
        self.topology, self.tuples = topology, np.asarray(tuples, np.int32).reshape(-1, 4)
        phone, state, forward, loop = self.tuples.T
        if not len(phone) or not np.isin(phone, topology.phones).all():
            raise KaldiError("the transition model has a phone that its topology lacks")
        lengths = np.array([len(states) for states in topology.entries], np.int32)
        entry = topology.entry_of[phone]
        if np.any((state < 0) | (state >= lengths[entry] - 1)):
            raise KaldiError("the transition model has an HMM state that its topology lacks")
        target, probability, count = _transition_table(topology)
        self.state2id = np.concatenate([[0, 1], 1 + np.cumsum(count[entry, state])]).astype(np.int32)
        row = np.repeat(np.arange(len(phone)), count[entry, state])
        index = np.arange(1, len(row) + 1) - self.state2id[row + 1]
        classes = np.full((len(lengths), lengths.max(), 2), NO_PDF, np.int32)
        for i, states in enumerate(topology.entries):
            classes[i, : len(states)] = [state[:2] for state in states]
        next_state = target[entry[row], state[row], index]
        is_self_loop = next_state == state[row]
        self.id2state = _from_one(row + 1)
        self.id2phone = _from_one(phone[row])
        self.id2hmm_state = _from_one(state[row])
        self.id2pdf = _from_one(np.where(is_self_loop, loop[row], forward[row]))
        self.id2pdf_class = _from_one(classes[entry[row], state[row], is_self_loop.astype(int)])
        self.is_self_loop = np.concatenate([[False], is_self_loop])
        self.is_final = np.concatenate([[False], next_state == lengths[entry[row]] - 1])
        if log_probs is None:
            log_probs = np.concatenate([[0.0], np.log(probability[entry[row], state[row], index])])
        self.log_probs = np.asarray(log_probs, np.float32)
        if len(self.log_probs) != len(self.id2state):
            raise KaldiError(f"{len(self.log_probs) - 1} log-probabilities for {self.num_tids} transition-ids")

    @property
    def num_states(self) -> int:
        """Number of transition-states."""
        return len(self.tuples)

    @property
    def num_tids(self) -> int:
        """Number of transition-ids."""
        return len(self.id2state) - 1

    @cached_property
    def num_pdfs(self) -> int:
        return int(self.tuples[:, 2:].max()) + 1

    @property
    def phones(self) -> np.ndarray:
        return self.topology.phones

    @cached_property
    def state_of(self) -> dict[tuple[int, int, int, int], int]:
        """Transition-state of (phone, HMM state, forward pdf, self-loop pdf)."""
        return {
            (phone, state, forward, loop): i for i, (phone, state, forward, loop) in enumerate(self.tuples.tolist(), 1)
        }

    @cached_property
    def self_loop_of(self) -> np.ndarray:
        """[num_states + 1]: the self-loop transition-id of each transition-state, 0 if it has none."""
        loops = np.zeros(self.num_states + 1, np.int32)
        tids = np.flatnonzero(self.is_self_loop)
        loops[self.id2state[tids]] = tids
        return loops

    def non_self_loop_log_probs(self) -> np.ndarray:
        """[num_states + 1]: log of the probability of leaving each transition-state."""
        leave = 1.0 - np.exp(self.log_probs[self.self_loop_of].astype(np.float64))
        leave[self.self_loop_of == 0] = 1.0
        return np.log(np.where(leave > 0, leave, 1e-10)).astype(np.float32)

    def pdfs_of_phones(self, phones: np.ndarray) -> np.ndarray:
        """Sorted pdf-ids that the phones use."""
        return np.unique(self.tuples[np.isin(self.tuples[:, 0], phones), 2:])

    def check_alignment(self, alignment: np.ndarray, utterance: str) -> None:
        """Raise KaldiError for an alignment that is not made of this model's transition-ids."""
        if len(alignment) and (alignment.min() < 1 or alignment.max() > self.num_tids):
            raise KaldiError(
                f"{utterance}: the alignment has transition-ids beyond the model's 1..{self.num_tids} "
                "(was it made with another model?)"
            )

    def check_loglikes(self, loglikes: np.ndarray, utterance: str = "") -> None:
        """Raise KaldiError for log-likelihoods [T, pdfs] of another number of pdfs."""
        if loglikes.shape[1] != self.num_pdfs:
            raise KaldiError(
                f"{utterance and f'{utterance}: '}log-likelihoods of {loglikes.shape[1]} pdfs, but the model has "
                f"{self.num_pdfs} (are they of another model?)"
            )

    def mle_update(self, counts: np.ndarray, floor: float = 0.01, mincount: float = 5.0, share: bool = False) -> None:
        """Maximum-likelihood transition probabilities from counts [num_tids + 1], floored and renormalised.

        With `share`, transition-states of the same pdf share their probabilities. States that were seen less than
        `mincount` times keep theirs.
        """
        if len(counts) != self.num_tids + 1:
            raise KaldiError(f"statistics of {len(counts) - 1} transition-ids, but the model has {self.num_tids}")
        groups = self.tuples[:, 2] if share else np.arange(self.num_states)
        group = np.concatenate([[0], groups[self.id2state[1:] - 1]])
        sizes = np.diff(self.state2id[1:])
        improvement = total = 0.0
        floored = skipped = 0
        for size in np.unique(sizes[sizes > 1]):
            ids = self.state2id[1:-1][sizes == size, None] + np.arange(size)
            if share and np.any(sizes[np.isin(groups, groups[sizes == size])] != size):
                raise KaldiError("--share-for-pdfs: states of one pdf have different numbers of transitions")
            names, member = np.unique(group[ids[:, 0]], return_inverse=True)
            pooled = np.zeros((len(names), size))
            np.add.at(pooled, member, counts[ids])
            seen = pooled.sum(axis=1)
            enough = seen >= mincount
            total += seen.sum()
            skipped += int((~enough).sum())
            new = _floored(pooled[enough] / np.maximum(seen[enough, None], 1e-300), floor)
            floored += int((new == np.float32(floor)).sum())
            old = np.zeros((len(names), size))
            old[member] = self.log_probs[ids]
            improvement += float(np.sum(pooled[enough] * (np.log(new) - old[enough])))
            row = np.cumsum(enough) - 1
            self.log_probs[ids[enough[member]]] = np.log(new)[row[member[enough[member]]]]
        change = improvement / total if total else 0.0
        log(
            f"transition probabilities: log-likelihood per frame rises by {change:.7g} over {total:.7g} frames; "
            f"{floored} floored; {skipped} of {self.num_states} states kept theirs for want of data (some always do)"
        )


def _floored(probs: np.ndarray, floor: float) -> np.ndarray:
    """Rows of probabilities, floored and renormalised three times, as Kaldi's update does."""
    probs = probs.astype(np.float32)
    for _ in range(3):
        probs = np.maximum(probs / probs.sum(axis=1, keepdims=True), np.float32(floor))
    return probs


def _from_one(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], values]).astype(np.int32)


def _transition_table(topology: HmmTopology) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets and probabilities [entry, state, transition], and numbers of transitions [entry, state]."""
    shape = len(topology.entries), max(map(len, topology.entries))
    count = np.zeros(shape, np.int32)
    for i, states in enumerate(topology.entries):
        count[i, : len(states)] = [len(state.transitions) for state in states]
    target = np.zeros((*shape, count.max()), np.int32)
    probability = np.ones((*shape, count.max()), np.float32)
    for i, states in enumerate(topology.entries):
        for j, state in enumerate(states[:-1]):
            target[i, j, : count[i, j]], probability[i, j, : count[i, j]] = zip(*state.transitions, strict=True)
    return target, probability, count


def _read_transition_model(reader: Reader, binary: bool) -> TransitionModel:
    reader.expect("<TransitionModel>")
    topology = TOPOLOGY.read(reader, binary)
    columns = {"<Triples>": 3, "<Tuples>": 4}[reader.expect("<Triples>", "<Tuples>")]
    count = reader.integer(binary)
    if binary:
        numbers = reader.array(TAGGED, count * columns)["value"]
    else:
        numbers = np.array(reader.until(b"<").split(), np.int32)
    tuples = numbers.reshape(count, columns)[:, [0, 1, 2, columns - 1]]
    reader.expect("</Triples>", "</Tuples>")
    reader.expect("<LogProbs>")
    log_probs = read_vector(reader, binary)
    reader.expect("</LogProbs>")
    reader.expect("</TransitionModel>")
    return TransitionModel(topology, tuples, log_probs)


def _write_transition_model(out: Output, model: TransitionModel, binary: bool) -> None:
    newline = b"" if binary else b"\n"
    is_hmm = model.topology.is_hmm
    out.write(b"<TransitionModel> " + newline)
    TOPOLOGY.write(out, model.topology, binary)
    name = "Triples" if is_hmm else "Tuples"
    out.token(f"<{name}>")
    out.integer(model.num_states, binary)
    columns = model.tuples[:, :3] if is_hmm else model.tuples
    if binary:
        sized = np.empty(columns.size, TAGGED)
        sized["size"], sized["value"] = 4, columns.ravel()
        out.write(sized.tobytes())
    else:
        out.write(("\n" + "".join(" ".join(map(str, row)) + " \n" for row in columns.tolist())).encode())
    out.write(f"</{name}> ".encode() + newline + b"<LogProbs> " + newline)
    write_vector(out, model.log_probs, binary)
    out.write(b"</LogProbs> " + newline + b"</TransitionModel> " + newline)


TRANSITION_MODEL = Kind("transition model", _read_transition_model, _write_transition_model)


def read_transition_model(rxfilename: str) -> TransitionModel:
    """The transition model of a file that begins with one, such as a .mdl."""
    return read_file(rxfilename, TRANSITION_MODEL)
