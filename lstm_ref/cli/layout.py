"""`lstm layout`: weights of other systems, to and from ours, and which layout an unknown file has."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.table import Table

from lstm_ref.cli.console import note, printable
from lstm_ref.core.errors import ConformanceError, ShapeError, UsageError
from lstm_ref.core.layouts import SYSTEMS, Candidate, Layout, identify, layout_of
from lstm_ref.core.layouts.files import read_arrays, suffix_of, write_arrays
from lstm_ref.core.layouts.ours import listed

CASE = ("x", "y", "h0", "c0", "h_n", "c_n")
Json = Annotated[bool, Parameter(name="--json", negative="")]

app = App(
    name="layout",
    help="Convert LSTM weights between systems, and find out which layout a file has.",
    help_format="markdown",
)


@app.command(name="list")
def list_layouts(system: str | None = None, /, *, as_json: Json = False) -> None:
    """The systems whose layout we know: order of the gates (i input, f forget, g candidate, o output), and arrays.

    In shapes: L layers, D directions, I inputs, H units, P projected units. In names: {g} a gate, {l} a layer,
    {reverse} _reverse or nothing; where there are several, and no place for them in a name, it starts with layer0/ or
    forward/.

    Parameters
    ----------
    system
        Only this one, with all that is known of it [default: all].
    as_json
        One JSON object instead of a table.
    """
    chosen = [layout_of(system)] if system else list(SYSTEMS.values())
    if as_json:
        print(json.dumps({layout.name: _facts(layout) for layout in chosen}))
        return
    table = Table(box=None, show_header=not system)
    table.add_column("" if system else "name", no_wrap=True)
    for heading in ("",) if system else ("gates", "state", "arrays"):
        table.add_column(heading, overflow="fold")
    if system:
        for name, value in _facts(chosen[0]).items():
            table.add_row(name.replace("_", " "), "\n".join(value) if isinstance(value, list) else f"{value}")
    else:
        for layout in chosen:
            arrays = (f"{array.name} {array.shape_text()}" for array in layout.arrays if not _is_extra(array.holds))
            table.add_row(layout.name, ",".join(layout.gates), layout.states, ", ".join(arrays))
    Console().print(table, highlight=False, markup=False)


def _is_extra(holds: tuple[str, ...]) -> bool:
    return holds[0] in ("peephole", "weight_hr")


def _facts(layout: Layout) -> dict[str, object]:
    return {
        "system": layout.name,
        "gates": ",".join(layout.gates),
        "arrays": [f"{array.name} {array.shape_text()} = {' + '.join(array.holds)}" for array in layout.arrays],
        "biases": layout.biases,
        "forget_bias": layout.forget_bias,
        "states": layout.states,
        "peepholes": ",".join(layout.peepholes) or "none",
        "note": layout.note,
        "source": layout.source,
    }


@app.command
def convert(
    source: Path,
    target: Path,
    /,
    *,
    from_: Annotated[str, Parameter(name="--from")],
    to: str,
    prefix: str = "",
    from_forget_bias: float | None = None,
    to_forget_bias: float | None = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    as_json: Json = False,
) -> None:
    """Write the weights of one system as another stores them, bit by bit.

    lstm layout convert keras.npz onnx.safetensors --from keras --to onnx

    Parameters
    ----------
    source
        An .npz or .safetensors file with the arrays under the names of `lstm layout list`.
    target
        The file to write, .npz or .safetensors.
    from_
        The system that the weights are from; ours is pytorch.
    to
        The system that they are for.
    prefix
        Take only arrays whose names start with this, and leave it out.
    from_forget_bias
        What the first system adds to the forget gate at run time [default: 1 for tf1, 0 for all others].
    to_forget_bias
        What the second one adds [default: the same].
    overwrite
        Replace the target if it exists.
    as_json
        One JSON object instead of a table.
    """
    first, second = layout_of(from_), layout_of(to)
    suffix_of(target)
    arrays = _chosen(read_arrays(source), prefix)
    if beside := [name for name in CASE if name in arrays]:
        note(f"left out {', '.join(beside)}: not weights")
    try:
        ours = first.to_ours({n: a for n, a in arrays.items() if n not in CASE}, forget_bias=from_forget_bias)
    except UsageError as error:
        raise type(error)(_line(f"{source}: {error}")) from None
    converted = second.from_ours(ours, forget_bias=to_forget_bias)
    write_arrays(target, converted, overwrite=overwrite)
    for warning in _warnings(first, second, ours):
        note(warning)
    if as_json:
        written = {n: {"shape": list(a.shape), "dtype": str(a.dtype)} for n, a in converted.items()}
        print(json.dumps({"source": str(source), "target": str(target), "from": from_, "to": to, "arrays": written}))
        return
    table = Table(box=None, show_header=False)
    for name, array in converted.items():
        table.add_row(name, str(list(array.shape)), str(array.dtype))
    Console().print(table, highlight=False, markup=False)


def _warnings(first: Layout, second: Layout, ours: dict[str, np.ndarray]) -> list[str]:
    """What the two systems do not have in common."""
    warnings = []
    both = [(ours[name], ours[name.replace("_ih", "_hh")]) for name in ours if name.startswith("bias_ih")]
    if second.biases == 1 and any(b_ih.any() and b_hh.any() for b_ih, b_hh in both):
        warnings.append(f"{second.name} has one bias: it got the sum of the two, and learns half as fast as they did")
    if "peephole_l0" in ours and first.peephole_of_old_cell != second.peephole_of_old_cell:
        old, new = (first, second) if first.peephole_of_old_cell else (second, first)
        warnings.append(
            f"the output gate's peephole sees the old cell in {old.name} and the new one in {new.name}: "
            "the weights are the same, the outputs are not"
        )
    return warnings


@app.command(name="identify")
def identify_layout(
    file: Path,
    /,
    *,
    prefix: str = "",
    batch_first: Annotated[bool, Parameter(negative="")] = False,
    top: Annotated[int, Parameter(validator=Number(gte=1))] = 3,
    tolerance: Annotated[float | None, Parameter(validator=Number(gte=0))] = None,
    as_json: Json = False,
) -> None:
    """Find the layout of weights by an input and the output that they gave.

    The file holds the weights under any names, the input x [T,B,I], and y [T,B,H] or the final state h_n [B,H] or
    both; also h0 and c0 [B,H] unless they were 0. Random inputs and states that are not 0 tell most. Ends with 5 if
    no way to read the weights gives the output.

    Parameters
    ----------
    file
        An .npz or .safetensors file.
    prefix
        Take only weights whose names start with this, and leave it out.
    batch_first
        x is [B,T,I] and y [B,T,H].
    top
        How many readings to show, best first.
    tolerance
        The largest error that fits [default: the square root of the dtype's rounding unit].
    as_json
        A JSON list instead of text.
    """
    arrays = read_arrays(file)
    case = {name: arrays.pop(name) for name in CASE if name in arrays}
    if "x" not in case:
        raise ShapeError(_line(f"{file} has no x, the input: it has {listed(arrays)}"))
    if batch_first:
        case |= {name: case[name].swapaxes(0, 1) for name in ("x", "y") if name in case and case[name].ndim > 1}
    try:
        found = identify(_chosen(arrays, prefix), **case, top=max(top, 2), tolerance=tolerance)
    except UsageError as error:
        raise type(error)(_line(f"{file}: {error}")) from None
    if as_json:
        print(json.dumps([_candidate_facts(candidate) for candidate in found[:top]]))
    else:
        _print_candidates(found[:top])
    best = found[0]
    if not best.fits:
        raise ConformanceError(
            f"{file}: no reading of the weights gives the output; the nearest is {best.error:.1e} off"
        )
    if found[1:] and found[1].fits:
        note("more than one reading fits: random weights, inputs and states would tell them apart")


def _chosen(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _line(text: str) -> str:
    """Names in a file may be anything."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def _candidate_facts(candidate: Candidate) -> dict[str, object]:
    return {
        "systems": list(candidate.systems),
        "by_name": candidate.by_name,
        "fits": candidate.fits,
        "error": candidate.error if math.isfinite(candidate.error) else None,
        "gates": ",".join(candidate.gates),
        "kernels": candidate.kernels,
        "biases": candidate.biases,
        "forget_bias": candidate.forget_bias,
        "states": "c, h" if candidate.exchanged else "h, c",
        "peepholes": ",".join(candidate.peepholes) or None,
        "old_cell": candidate.old_cell,
    }


def _print_candidates(candidates: Sequence[Candidate]) -> None:
    table = Table(box=None)
    table.add_column("error", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("system", overflow="fold")
    table.add_column("reading", overflow="fold")
    for candidate in candidates:
        systems = ", ".join(candidate.systems) or "none"
        table.add_row(f"{candidate.error:.1e}", "fits" if candidate.fits else "no", systems, candidate.text)
    Console().print(table, highlight=False, markup=False)
