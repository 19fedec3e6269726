"""`python -m benchmarks.gpu`: the whole table of the GPU within a budget of minutes. See benchmarks/gpu/__init__.py."""

import sys

from benchmarks.gpu import requirements

if names := requirements.missing():
    print(f"error: {requirements.advice(names)}", file=sys.stderr)
    sys.exit(2)

from benchmarks.gpu.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
