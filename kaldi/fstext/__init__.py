"""Weighted finite-state transducers beyond what the kaldifst wheel does (Kaldi: fstext/, and OpenFst)."""
