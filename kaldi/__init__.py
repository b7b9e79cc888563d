"""The embedded Kaldi: Kaldi's command-line programs on pip wheels, NumPy and numba.

`bin/` holds a link per program, `programs/` one small function a program, the other rooms the methods and formats.
They are the rooms of Kaldi's own src/, and each imports only from those below it (README.md).
"""
