"""The numbers of an acoustic model: a table of conf/ligru.toml, kept inside the checkpoints trained with it.

`python3 -m nnet.ligru.config FILE MODEL NAME` prints one of them.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHOICES = {
    "objective": ("cross-entropy", "lf-mmi"),
    "network": ("ligru", "sligru", "gru", "lstm", "mlp"),
    "normalisation": ("batch", "layer"),
    "activation": ("relu", "tanh"),
    "cmvn": ("none", "mean", "mean-variance"),
    "precision": ("float32", "bfloat16"),
}
CMVN_OPTIONS = {  # of apply-cmvn, for those who prepare features for the forward pass
    "none": "--norm-means=false --norm-vars=false",
    "mean": "--norm-means=true --norm-vars=false",
    "mean-variance": "--norm-means=true --norm-vars=true",
}
KINDS = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,)}
FRACTIONS = ("dropout", "label_smoothing", "weight_average", "tempo", "feature_shift")


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture and training of one acoustic model; conf/ligru.toml says what each number means."""

    network: str
    layers: int
    units: int
    directions: int
    dropout: float
    normalisation: str
    activation: str
    orthogonal: bool
    context: tuple[int, int]
    cmvn: str
    epochs: int
    batch_frames: int
    max_frames: tuple[int, ...]
    learning_rate: float
    min_improvement: float
    stop_after: int
    max_gradient: float
    label_smoothing: float
    monophone_weight: float
    time_masks: int
    time_mask_frames: int
    feature_masks: int
    feature_mask_width: int
    weight_average: float
    precision: str
    length_tolerance: int
    max_bad_batches: int
    checkpoint_minutes: float
    seed: int
    tempo: float = 0.0  # from here on with the values of models that are older than the setting
    feature_shift: float = 0.0
    projection: int = 0
    objective: str = "cross-entropy"
    subsampling: int = 1
    leaky_hmm: float = 0.1
    cross_entropy_weight: float = 0.1
    output_l2: float = 0.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            self._check_type(field)
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} '{getattr(self, name)}': it is one of {', '.join(choices)}")
        for name in FRACTIONS:
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: at least 0 and below 1")
        for name in ("layers", "units", "epochs", "batch_frames", "stop_after", "max_bad_batches", "subsampling"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: at least 1")
        if self.max_gradient <= 0:
            raise ValueError(f"max_gradient {self.max_gradient}: above 0")
        if self.precision != "float32" and self.network in ("gru", "lstm"):
            raise ValueError(f"precision {self.precision}: not for {self.network}")
        if self.directions not in (1, 2):
            raise ValueError(f"directions {self.directions}: 1 (forwards) or 2 (both)")
        if not self.max_frames or min(self.max_frames) < 0:
            raise ValueError(f"max_frames {list(self.max_frames)}: frames for each epoch, 0 for whole utterances")
        if self.is_chain:
            for name in ("label_smoothing", "monophone_weight", "tempo"):
                if getattr(self, name):
                    raise ValueError(f"{name} {getattr(self, name)}: not for the objective {self.objective}")
            if any(self.max_frames):
                raise ValueError(f"max_frames {list(self.max_frames)}: {self.objective} is for whole utterances, 0")
        elif self.subsampling > 1:
            raise ValueError(f"subsampling {self.subsampling}: only for the objective lf-mmi")
        if len(self.context) != 2 or min(self.context) < 0:
            raise ValueError(f"context {list(self.context)}: frames to the left and to the right")

    @property
    def is_chain(self) -> bool:
        """Whether it is what Kaldi calls a chain model, trained by lattice-free MMI."""
        return self.objective == "lf-mmi"

    def for_frames_of(self, factor: int) -> Config:
        """The same in frames that stand for `factor` of those that the numbers of frames are meant for."""
        return dataclasses.replace(
            self,
            batch_frames=max(1, self.batch_frames // factor),
            max_frames=tuple(-(-frames // factor) for frames in self.max_frames),
            time_mask_frames=self.time_mask_frames // factor,
            subsampling=max(1, self.subsampling // factor),
        )

    def _check_type(self, field: dataclasses.Field) -> None:
        """The type as the class says, and no number below 0."""
        value = getattr(self, field.name)
        values, kind = (value,), str(field.type)
        if kind.startswith("tuple["):
            values, kind = value if isinstance(value, tuple) else (None,), kind[len("tuple[") :].partition(",")[0]
        if not all(type(one) in KINDS[kind] for one in values):
            raise ValueError(f"{field.name} {value!r}: not of the type {field.type}")
        if kind in ("int", "float") and not all(one >= 0 for one in values):
            raise ValueError(f"{field.name} {value}: at least 0")


def build_config(values: dict[str, Any], source: str) -> Config:
    """A configuration from its values by name; ValueError names the source and what is wrong with it."""
    fields = dataclasses.fields(Config)
    wrong = values.keys() - {field.name for field in fields}
    wrong |= {field.name for field in fields if field.default is dataclasses.MISSING} - values.keys()
    if wrong:
        raise ValueError(f"{source}: unknown or missing: {', '.join(sorted(wrong))}")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    try:
        return Config(**values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{source}: {error}") from None


def read_config(path: Path, model: str) -> Config:
    """Table `model` of a file like conf/ligru.toml, laid over its [common]."""
    try:
        tables = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from None
    common = tables.pop("common", {})
    if model not in tables:
        raise ValueError(f"{path}: no model '{model}'; there are: {', '.join(tables)}")
    return build_config(common | tables[model], f"{path} [{model}]")


def main() -> int:
    if len(sys.argv) != 4 or sys.argv[1] == "--help":
        print("Usage: python3 -m nnet.ligru.config <file> <model> <name>", file=sys.stderr)
        return 0 if "--help" in sys.argv else 1
    try:
        config = read_config(Path(sys.argv[1]), sys.argv[2])
        print(dataclasses.asdict(config)[sys.argv[3]])
    except KeyError:
        print(f"nnet.ligru.config: error: no setting '{sys.argv[3]}'", file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        print(f"nnet.ligru.config: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
