"""Logging, text and bytes, whole output files, the start of numba, the C library's random numbers (Kaldi: base/)."""
