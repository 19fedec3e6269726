"""The manifest: how it is written, and where it is recorded which wrong LSTMs each case tells from a right one."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parity_tests.vectors import HERE, manifest


def manifest_text(content: Mapping[str, Any]) -> str:
    """JSON with one case and one file a line."""
    parts = []
    for key in ("cases", "files"):
        lines = (f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in content[key].items())
        parts.append(f'"{key}": {{\n  ' + ",\n  ".join(lines) + "}")
    return f'{{"version": {json.dumps(content["version"])},\n' + ",\n".join(parts) + "}\n"


def record_kills(kills: Mapping[str, Sequence[str]], folder: Path = HERE) -> None:
    """Replaces the kills of each case named; values and digests stay. Raises KeyError for a case that is not there."""
    content = manifest(folder)
    for name, mutants in kills.items():
        content["cases"][name]["kills"] = sorted(mutants)
    (folder / "manifest.json").write_bytes(manifest_text(content).encode())


def known_kills(folder: Path = HERE) -> dict[str, list[str]]:
    """What was recorded; nothing where there is no manifest yet."""
    if not (folder / "manifest.json").exists():
        return {}
    return {name: case["kills"] for name, case in manifest(folder)["cases"].items()}
