"""What is mutated, and the tests that bear on it: a mutant is killed when one of them fails."""

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """module and tests: paths from the top of the checkout."""

    module: str
    tests: tuple[str, ...]
    compiled: tuple[str, ...] = ()  # definitions that only the compiler calls: tested with compilation on

    def digest(self, root: Path) -> str:
        """Of the module and its tests: a score with another one is of older sources."""
        sources = b"".join((root / path).read_bytes() for path in (self.module, *self.tests))
        return hashlib.sha256(sources).hexdigest()[:12]


def _kernel(name: str, *more_tests: str, compiled: tuple[str, ...] = ()) -> Target:
    tests = (f"parity_tests/test_{name}.py", *more_tests)
    return Target(module=f"lstm_ref/kernels/{name}.py", tests=tests, compiled=compiled)


def _core(name: str, *more_tests: str) -> Target:
    return Target(module=f"lstm_ref/core/{name}.py", tests=(f"parity_tests/core/test_{name}.py", *more_tests))


_WRITER = "write", "__init__", "_add_products", "_row", "_vectors", "_broadcast"
TARGETS = (
    _kernel("activations", compiled=("_typed_exp", "_typed_sigmoid", "_typed_tanh")),
    _kernel("adam"),
    _kernel("cell"),
    _kernel("clip"),
    _kernel("decoder"),
    _kernel("dropout"),
    _kernel("embedding"),
    _kernel("product"),
    _kernel("regularizers"),
    _kernel("sampling"),
    _kernel("sequence"),
    _kernel("sgd"),
    _kernel("softmax_loss"),
    Target(
        module="lstm_ref/kernels/tile.py",
        tests=("parity_tests/test_product.py",),
        compiled=("columns", "written", "_typed_tile", *_WRITER),
    ),
    _core("atomic"),
    _core("batching", "parity_tests/core/test_stream.py"),
    _core("checkpoint", *(f"parity_tests/core/test_checkpoint_{name}.py" for name in ("averages", "schema"))),
    _core("draws"),
    _core("generation", "parity_tests/core/test_word_generation.py"),
    _core("sealed"),
    _core("stream"),
    Target(
        module="lstm_ref/core/masks.py",
        tests=("parity_tests/test_dropout.py", "parity_tests/core/test_draws.py"),
    ),
)
