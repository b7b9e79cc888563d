"""Logging, text and bytes, the start of numba, the C library's random numbers (Kaldi: base/)."""
