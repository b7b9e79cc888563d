"""The embedded Kaldi: Kaldi's command-line programs on pip wheels, NumPy and numba.

`bin/` holds a link per program, `programs/` one small function a program, the other modules the methods and formats.
"""
