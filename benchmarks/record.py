"""The JSON object of a measurement: what was found, when, with what, and on what kind of machine."""

import platform
from datetime import date
from importlib import metadata
from typing import Any

from ramnp.training.provenance import count_cores, processor

PACKAGES = ("torch", "cupy-cuda12x", "cupy-cuda13x")  # named where they are installed


def record(
    command: str, backend: str, gpu: str | None, known: dict[str, Any], sections: dict[str, Any]
) -> dict[str, Any]:
    """The object that goes into the file; `gpu` is the name of the card, `known` the `provenance` of the start."""
    machine = {"system": platform.system(), "architecture": platform.machine(), "cores": count_cores()}
    return {
        "date": date.today().isoformat(),
        "command": command,
        "backend": backend,
        "machine": machine | {"processor": processor(), "gpu": gpu},
        "versions": known["versions"] | packages(),
        "git_revision": known["git_revision"],
        "sections": sections,
    }


def packages() -> dict[str, str]:
    """The versions of those of `PACKAGES` that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def origin(found: dict[str, Any]) -> str:
    """A line for people on what a record was measured with."""
    machine = found["machine"]
    revision, _, changed = (found["git_revision"] or "unknown").partition("-")
    parts = [
        f"`{found['command']}`",
        found["date"],
        f"{machine['system']} {machine['architecture']}, {machine['cores']} cores, {machine['processor']}",
        *([machine["gpu"]] if machine["gpu"] else []),
        ", ".join(f"{name} {version}" for name, version in found["versions"].items()),
        f"revision {revision[:10]}" + (" with changes" if changed else ""),
    ]
    return "; ".join(parts) + "."
