"""The arithmetic, one idea a file: its equations, a plain NumPy form, and a Numba form that agrees with it.

The plain forms (`*_plain`) are written to be read and to be differentiated by the complex step, so they take complex
arrays too. The others are what `NumpyLM` runs: float32 or float64, into arrays that the caller allocated.
"""
