"""bench/whisper.py: words are compared as its normaliser says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location("bench_whisper", Path(__file__).parents[2] / "bench/whisper.py")
assert SPEC and SPEC.loader
whisper = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(whisper)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("4, 6, 2.", "FOUR SIX TWO"),
        ("The 21st of May, 1990!", "THE TWENTY FIRST OF MAY ONE THOUSAND NINE HUNDRED NINETY"),
        ("at 5pm", "AT FIVE PM"),
        ("my 20th, 3rd and 12th", "MY TWENTIETH THIRD AND TWELFTH"),
        ("1,200,013 sheep", "ONE MILLION TWO HUNDRED THOUSAND THIRTEEN SHEEP"),
        ("I'm sure it\u2019s Tom's; don't you? We can't.", "I AM SURE IT IS TOM'S DO NOT YOU WE CAN NOT"),
        ("'Hello' -- ice-cream...", "HELLO ICE CREAM"),
        ("1234567890123", "ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE ZERO ONE TWO THREE"),
        ("", ""),
    ],
)
def test_normaliser(text: str, words: str) -> None:
    assert " ".join(whisper.normalise(text)) == words


def test_error_rate() -> None:
    """A substitution and the three words of an utterance that was not recognised, of seven."""
    reference = {"a": "DON'T GO HOME", "b": "FOUR SIX TWO"}
    assert whisper.error_rate(reference, {"a": "do not go in"}) == pytest.approx(100 * 4 / 7)
