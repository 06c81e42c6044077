"""The lineage of a run: what code, data, machine and time it took, so that any figure can be traced."""

import hashlib
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "fusion-oncology",
    "torch",
    "pytorch-lightning",
    "torchmetrics",
    "hydra-core",
    "numpy",
    "pandas",
    "pyarrow",
    "h5py",
    "scikit-learn",
    "safetensors",
)


class Stopwatch:
    """Wall seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - start, 2)


def sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def hash_inputs(folder: Path) -> dict[str, str]:
    """Hash of every table of a cohort folder, and one over names and sizes of the histology bags.

    Bags are many and large, so their content is not read here; the truth of a simulated cohort is not an input.
    """
    hashes = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}
    bags = sorted((folder / "histology").glob("*")) if (folder / "histology").is_dir() else []
    if bags:
        listing = "\n".join(f"{bag.name} {bag.stat().st_size}" for bag in bags)
        hashes["histology (names and sizes)"] = hashlib.sha256(listing.encode()).hexdigest()
    return hashes


def git_state(folder: Path) -> dict[str, Any]:
    """Commit of the code and whether it was changed since; None where it does not lie in a checkout."""

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(git("status", "--porcelain")) if commit else None}


def machine_facts() -> dict[str, Any]:
    """Versions, host and device."""
    import torch

    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # run from a source tree beside packages that were never installed
            versions[package] = "unknown"
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else f"cpu, {torch.get_num_threads()} threads"
    return {"versions": versions, "host": f"{platform.system()} {platform.machine()}", "device": device}


def peak_memory_gb() -> float:
    """Peak resident memory of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 30 if sys.platform == "darwin" else 1 << 20), 3)
