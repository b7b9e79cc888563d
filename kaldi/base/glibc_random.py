"""The random numbers of the C library's srand and rand, so that random choices are those of Kaldi on Linux."""

from __future__ import annotations

from itertools import islice

from kaldi.base.text import encode


class Random:
    """rand() of the GNU C library after srand(seed): additive feedback x[i] = x[i-3] + x[i-31] modulo 2^32."""

    def __init__(self, seed: int):
        seed &= 0xFFFFFFFF
        word = (seed - (1 << 32) if seed >> 31 else seed) or 1
        state = [word & 0xFFFFFFFF]
        for _ in range(30):
            quotient = int(word / 127773)  # towards zero, as in C
            word = 16807 * (word - 127773 * quotient) - 2836 * quotient
            word += 2147483647 if word < 0 else 0
            state.append(word)
        self.state, self.front = state, 3
        for _ in islice(iter(self.rand, None), 310):
            pass

    def rand(self) -> int:
        """The next number, 0 to 2^31 - 1."""
        state, front = self.state, self.front
        value = state[front] = (state[front] + state[front - 3]) & 0xFFFFFFFF
        self.front = (front + 1) % 31
        return value >> 1

    def integer(self, low: int, high: int) -> int:
        """An integer from low to high, both included; no number is drawn when there is no choice (Kaldi: RandInt)."""
        return low if low == high else low + self.rand() % (high + 1 - low)


def string_seed(text: str) -> int:
    """Kaldi's hash of a string (util/stl-utils.h), of which srand takes the low 32 bits."""
    value = 0
    for byte in encode(text):
        value = (value * 7853 + (byte - 256 if byte > 127 else byte)) & 0xFFFFFFFF
    return value
