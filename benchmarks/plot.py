"""`lstm bench plot`: pictures of result files, and of nothing else: what is drawn was measured and written down.

    FILE-ratio.svg    how many times the peer's speed, with quartiles, case by case
    FILE-limit.svg    share of the measured limit
    FILE-cost.svg     time of a step against T, B, H, V or threads, with the fitted power laws

The same file gives the same bytes.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_ref.core.errors import DataError, UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, ROW = 9.0, 0.34  # inches


def plot_file(file: Path, folder: Path) -> list[Path]:
    """Writes the pictures of one result file. Raises DataError if it is none."""
    found = _read(file)
    figures = _of_sweeps(found) if "sweeps" in found else _of_cases(found)
    folder.mkdir(parents=True, exist_ok=True)
    return [_saved(figure, folder / f"{file.stem}-{what}.svg") for what, figure in figures]


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {file}: {error}") from None
    if not isinstance(found, dict) or not ("sweeps" in found or "cases" in found):
        raise DataError(f"{file} has neither cases nor sweeps: expected a file that `lstm bench` wrote")
    return found


def _figure(rows: int, columns: int, height: float) -> "tuple[Figure, Any]":
    """Without pyplot: no window, and nothing global."""
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise UsageError("no matplotlib: pip install 'lstm-parity[plot]'") from None
    matplotlib.rcParams["svg.hashsalt"] = "lstm-parity"  # or every picture would have names of its own inside
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _saved(figure: "Figure", path: Path) -> Path:
    figure.savefig(path, metadata={"Date": None})
    return path


def _of_cases(found: Mapping[str, Any]) -> "Iterator[tuple[str, Figure]]":
    yield "ratio", _bars(found, found["cases"], "times_peer_speed", "times the peer's speed")
    limited = [case for case in found["cases"] if case.get("limit_seconds")]
    if limited:
        yield (
            "limit",
            _bars(found, limited, "share_of_limit", "share of the limit, that is of the products alone"),
        )


def _bars(found: Mapping[str, Any], cases: list[Mapping[str, Any]], key: str, label: str) -> "Figure":
    """A panel a case, a bar a contender."""
    heights = [len(case["contenders"]) * ROW + 0.9 for case in cases]
    figure, panels = _figure(len(cases), 1, sum(heights))
    panels[0, 0].get_gridspec().set_height_ratios(heights)
    for case, axes in zip(cases, panels[:, 0], strict=True):
        _case_bars(axes, case, key)
    panels[-1, 0].set_xlabel(label)
    figure.suptitle(f"{found['name']}, {found['date'][:10]}")
    return figure


def _case_bars(axes: "Axes", case: Mapping[str, Any], key: str) -> None:
    names = list(case["contenders"])[::-1]
    values = [case["contenders"][name][key] for name in names]
    spreads = [
        value if isinstance(value, dict) else dict.fromkeys(("median", "low", "high"), value) for value in values
    ]
    medians = [spread["median"] for spread in spreads]
    whiskers = [[m - s["low"] for m, s in zip(medians, spreads)], [s["high"] - m for m, s in zip(medians, spreads)]]
    colours = ["0.8" if name in case["peers"] else "#7fb2dd" for name in names]
    axes.barh(names, medians, xerr=whiskers, color=colours, ecolor="0.2", capsize=2)
    axes.axvline(1, color="0.2", linewidth=0.8)
    for name, median in zip(names, medians):
        axes.annotate(f" {median:.2f}", (0, name), va="center", fontsize=8)
    axes.set_title(case["title"], fontsize=9, loc="left")


def _of_sweeps(found: Mapping[str, Any]) -> "Iterator[tuple[str, Figure]]":
    sweeps = found["sweeps"]
    rows = -(-len(sweeps) // 2)
    figure, panels = _figure(rows, min(2, len(sweeps)), 3.6 * rows)
    for sweep, axes in zip(sweeps, panels.flat):
        _cost(axes, sweep)
    for axes in list(panels.flat)[len(sweeps) :]:
        axes.set_visible(False)
    figure.suptitle(f"{found['name']}, {found['date'][:10]}: ms a step of {sweeps[0]['base']}", fontsize=10)
    yield "cost", figure


def _cost(axes: "Axes", sweep: Mapping[str, Any]) -> None:
    from statistics import median

    from matplotlib.ticker import LogLocator

    values = sweep["values"]
    for number, (name, by_point) in enumerate(sweep["seconds"].items()):
        law, colour = sweep["fits"][name]["law"], f"C{number}"
        axes.plot(values, [1e3 * median(times) for times in by_point], "o", color=colour, markersize=4)
        line = [1e3 * law["factor"] * value ** law["exponent"] for value in values]
        axes.plot(values, line, color=colour, linewidth=1, label=f"{name}: {law['exponent']:.2f}")
    if sweep["limits"]:
        axes.plot(values, [1e3 * limit for limit in sweep["limits"]], "--", color="0.5", label="products alone")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(values, list(map(str, values)))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_xlabel(sweep["dimension"])
    axes.legend(fontsize=7)
