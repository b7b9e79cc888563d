"""Decoding to lattices, forced alignment, and the graphs of both (Kaldi: decoder/)."""
