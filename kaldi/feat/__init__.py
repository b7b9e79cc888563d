"""Wave files, MFCC and filter banks, deltas and splicing (Kaldi: feat/)."""
