"""The generator that a configuration names."""

from __future__ import annotations

from nnet.segan.config import Config
from nnet.segan.model import Generator
from nnet.segan.spectral import SpectralGenerator

AnyGenerator = Generator | SpectralGenerator


def make_generator(config: Config) -> AnyGenerator:
    """One with weights that depend on the configuration's seed alone."""
    return SpectralGenerator(config) if config.generator == "spectral" else Generator(config)
