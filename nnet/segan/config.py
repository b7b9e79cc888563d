"""The numbers of a SEGAN: a table of conf/segan.toml, kept as config.json beside the weights trained with it."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ACTIVATIONS = ("prelu", "leaky")
DIRECTIONS = ("enhance", "add-noise")
GENERATORS = ("waveform", "spectral")
OPTIMIZERS = ("rmsprop", "adam")
ADVERSARIES = ("classifier", "metric")
DECODER_TAPS = 5  # along frequency, of a spectral generator's decoder
SPEECH_DB = -30.0  # level of active speech in records that noise is mixed with, in dB of full scale


@dataclasses.dataclass(frozen=True)
class Config:
    """Architecture and training of one SEGAN; conf/segan.toml says what each number means."""

    rate: int
    window: int
    overlap: float
    preemphasis: float
    kernel: int
    stride: int
    g_depths: tuple[int, ...]
    d_depths: tuple[int, ...]
    activation: str
    bias_downconv: bool
    bias_deconv: bool
    bias_d_conv: bool
    z: bool
    input_skip: bool
    init_std: float
    reference_batch: int
    batch_size: int
    epochs: int
    g_learning_rate: float
    d_learning_rate: float
    learning_rate_decay: bool
    l1_weight: float
    l1_remove_epoch: int
    spectral_weight: float
    d_noise_std: float
    d_noise_epoch: int
    d_noise_decay: float
    d_noise_floor: float
    d_pretrain_epochs: int
    seed: int
    direction: str
    dry: float = 0.0
    envelope_weight: float = 0.0
    diversity_weight: float = 0.0
    # Models of the time before there were these have none of them in their config.json.
    generator: str = "waveform"
    frame: int = 512
    frame_hop: int = 256
    frame_taps: int = 3
    units: int = 96
    g_strides: tuple[int, ...] = ()
    dilations: tuple[int, ...] = ()
    causal: bool = False
    optimizer: str = "rmsprop"
    adversarial_weight: float = 1.0
    adversary: str = "classifier"
    complex_weight: float = 0.0
    si_sdr_weight: float = 0.0
    perceptual_weight: float = 0.0
    snr_low: float = -6.0
    snr_high: float = 18.0
    level_low: float = -36.0
    level_high: float = -16.0
    second_noise_chance: float = 0.3
    babble_chance: float = 0.15
    room_chance: float = 0.5
    band_chance: float = 0.1
    clip_chance: float = 0.05
    start_from: str = ""

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("activation", self.activation, ACTIVATIONS),
            ("direction", self.direction, DIRECTIONS),
            ("generator", self.generator, GENERATORS),
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("adversary", self.adversary, ADVERSARIES),
        ):
            if value not in allowed:
                raise ValueError(f"{name} '{value}': it is one of {', '.join(allowed)}")
        self._check_layers()
        if not 0 <= self.dry <= 1:
            raise ValueError(f"dry {self.dry}: a part of the input, between 0 and 1")
        if not 0 <= self.overlap < 1:
            raise ValueError(f"overlap {self.overlap}: a part of a window, at least 0 and below 1")

    def _check_layers(self) -> None:
        """Raise ValueError unless every layer's stride divides what it is given."""
        for depths in (self.g_depths, self.d_depths) if self.generator == "waveform" else (self.d_depths,):
            if self.window % self.stride ** len(depths):
                raise ValueError(
                    f"window {self.window} cannot be halved by stride {self.stride} through {len(depths)} layers: "
                    f"choose a multiple of {self.stride ** len(depths)}"
                )
        if self.generator == "waveform":
            return
        if len(self.g_strides) != len(self.g_depths):
            raise ValueError(f"g_strides {self.g_strides}: one for each of the {len(self.g_depths)} g_depths")
        if (self.frame // 2) % math.prod(self.g_strides):
            raise ValueError(f"frame {self.frame}: half of it cannot be divided by the g_strides {self.g_strides}")
        if self.frame != 2 * self.frame_hop or self.window % self.frame_hop:
            raise ValueError(
                f"frame_hop {self.frame_hop}: half of frame {self.frame}, and a part of window {self.window}"
            )
        if self.z or self.direction != "enhance":
            raise ValueError('a spectral generator enhances, without a latent z: z = false, direction = "enhance"')

    @property
    def hop(self) -> int:
        """Samples between the starts of neighbouring windows."""
        return round(self.window * (1 - self.overlap))

    @property
    def code_shape(self) -> tuple[int, int]:
        """Frames and channels of the encoder's output of a generator on waveforms."""
        return self.window // self.stride ** len(self.g_depths), self.g_depths[-1]

    @property
    def z_shape(self) -> tuple[int, ...]:
        """Of the latent z of a window: as the encoder's output, or without a number in it."""
        return self.code_shape if self.z else (0,)

    def with_overrides(self, **values: Any) -> Config:
        """A copy in which every value that is not None replaces the one of its name."""
        return dataclasses.replace(self, **{name: value for name, value in values.items() if value is not None})

    def save(self, directory: Path) -> None:
        """Write config.json."""
        partial = directory / "config.json.tmp"
        partial.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n")
        partial.replace(directory / "config.json")


def _build(values: dict[str, Any], source: Path) -> Config:
    fields = dataclasses.fields(Config)
    wrong = values.keys() - {field.name for field in fields}
    wrong |= {field.name for field in fields if field.default is dataclasses.MISSING} - values.keys()
    if wrong:
        raise ValueError(f"{source}: unknown or missing: {', '.join(sorted(wrong))}")
    for name in ("g_depths", "d_depths", "g_strides", "dilations"):
        if name in values:
            values[name] = tuple(values[name])
    try:
        return Config(**values)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def read_toml(path: Path) -> dict[str, dict]:
    """The tables of a TOML file; ValueError names the file if it is missing or malformed."""
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from None


def read_config(path: Path, name: str) -> Config:
    """Configuration `name` of a file like conf/segan.toml: its table, laid over its `base` and over [common]."""
    tables = read_toml(path)
    values = tables.pop("common", {})
    for table in (tables.get(name, {}).get("base"), name):
        if table is None:
            continue
        if table not in tables:
            raise ValueError(f"{path}: no configuration '{table}'; there are: {', '.join(tables)}")
        values |= tables[table]
    values.pop("base", None)
    return _build(values, path)


def load_config(directory: Path) -> Config:
    """The configuration that a trained model was saved with."""
    path = directory / "config.json"
    if not path.is_file():
        raise ValueError(f"{directory}: no config.json, so no SEGAN was trained there")
    try:
        values = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: is damaged ({error})") from None
    return _build(values, path)
