"""An LSTM language model by hand in NumPy and Numba: the reference twin of `lstm_torch`.

Importing the package imports neither numba nor torch: `lstm --help` has to be quick. Start reading at
`lstm_ref.kernels.cell`.
"""

__version__ = "0.1.0"
