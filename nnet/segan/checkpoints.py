"""Checkpoints of a training: only finite ones are written, and the newest that can be read is gone on from."""

from __future__ import annotations

import re
from pathlib import Path

import tensorflow as tf

from nnet.segan.log import log
from nnet.segan.weights import READING_ERRORS, check_finite, writing


class Checkpoints:
    """The newest `keep` states of a training in a directory."""

    def __init__(self, directory: Path, keep: int, **state: tf.Module) -> None:
        self._directory, self._state = directory, state
        self._checkpoint = tf.train.Checkpoint(**state)
        self._manager = tf.train.CheckpointManager(self._checkpoint, str(directory), keep)

    def restore(self) -> str | None:
        """Set the state to the newest checkpoint that can be read and return its prefix; None if there never was one.

        ValueError if there are checkpoints and none can be read.
        """
        prefixes = checkpoint_prefixes(self._directory)
        for prefix in prefixes:
            try:
                self._read(prefix)
            except READING_ERRORS:
                log.warning("%s: is damaged; going back to the one before", prefix)
            else:
                return prefix
        if prefixes:
            raise ValueError(f"{self._directory}: no checkpoint can be read: remove it to begin anew")
        return None

    def _read(self, prefix: str) -> None:
        """Restore all that the checkpoint has; parts of the state that came with a later version stay as they are."""
        reader = tf.train.load_checkpoint(prefix)
        names = list(reader.get_variable_to_shape_map())
        for name in names:
            reader.get_tensor(name)  # what is damaged shows here, before anything is set
        there = {name.split("/")[0] for name in names}
        known = {name: part for name, part in self._state.items() if name in there}
        status = tf.train.Checkpoint(**known).restore(prefix)
        status.assert_existing_objects_matched()
        status.expect_partial()
        self._checkpoint.save_counter.assign(int(prefix.rpartition("-")[2]))

    def save(self) -> str:
        """Write the state and return its prefix. Raises OSError; DivergenceError for a number that is not finite."""
        for part in self._state.values():
            check_finite(part.variables)
        with writing(self._directory):
            return self._manager.save()


def checkpoint_prefixes(directory: Path) -> list[str]:
    """Checkpoints by name, the newest first; files are looked for, as TensorFlow's list of them may be damaged too."""
    numbers = [re.fullmatch(r"ckpt-(\d+)\.index", path.name) for path in directory.glob("ckpt-*.index")]
    return [str(directory / f"ckpt-{number}") for number in sorted((int(n[1]) for n in numbers if n), reverse=True)]
