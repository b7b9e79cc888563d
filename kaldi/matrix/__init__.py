"""Files of vectors and matrices, compressed ones too; the arithmetic is NumPy's (Kaldi: matrix/)."""
