"""A sweep as a whole (`train.py -m`): taken up again where it was killed, finished jobs passed over, failed ones told.

The jobs of a sweep are run folders side by side. A job that fails leaves its message in its folder (`error.txt`) and
the others go on; one that was finished with this very config on this very cohort is not run again.
"""

import hashlib
import json
import re
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from fusion.training.manifest import hash_inputs

ERROR = "error.txt"

#: Settings that say how a run is carried out, not what it computes.
FREE = ("overrides", "resume", "debug", "workers")

#: The extra that a launcher needs, and its plugin of Hydra.
LAUNCHERS = {
    "joblib": ("sweep", "hydra_joblib_launcher"),
    "slurm": ("slurm", "hydra_submitit_launcher"),
    "submitit_local": ("slurm", "hydra_submitit_launcher"),
    "ray": ("ray", "hydra_ray_launcher"),
}


def check_launcher(words: Sequence[str]) -> None:
    """Refuse a launcher whose plugin is not installed: Hydra would only say that it finds no such option.

    Raises:
        ImportError: Names the extra to install.
    """
    for name in (word.removeprefix("launcher=") for word in words if word.startswith("launcher=")):
        extra, plugin = LAUNCHERS.get(name, ("", ""))
        if extra and not (find_spec("hydra_plugins") and find_spec(f"hydra_plugins.{plugin}")):
            raise ImportError(f"launcher={name} needs an extra: pip install 'fusion-oncology[{extra}]'")


def words_of_sweep(folder: Path, words: Sequence[str]) -> list[str]:
    """The command line that goes on with a sweep: that of its beginning, and how to run it from the one given now.

    Args:
        folder: Of the sweep; Hydra left `multirun.yaml` there.
        words: Given now; they may name another launcher and its settings, and repeat others.

    Raises:
        ValueError: A word would change the jobs.
    """
    known = OmegaConf.load(folder / "multirun.yaml").hydra.overrides
    before = [*known.hydra, *known.task]
    now = [word for word in words if word not in ("-m", "--multirun", *before) and not word.startswith("resume=")]
    other = [word for word in now if not re.match(r"\+*(hydra\.(?!sweep)|launcher=|workers=|debug=)", word)]
    if other:
        raise ValueError(f"a resumed sweep keeps its jobs; leave out {' '.join(other)}, or start a new one")
    replaced = {word.partition("=")[0] for word in now} | {"hydra.sweep.dir", "hydra.mode"}
    old_launcher = ("hydra.launcher.", "+hydra.launcher.") if "launcher" in replaced else ()
    kept = [w for w in before if w.partition("=")[0] not in replaced and not w.startswith(old_launcher)]
    return ["-m", *kept, *now, f"hydra.sweep.dir='{folder}'"]


def config_hash(values: dict[str, Any]) -> str:
    """Hash of what a config computes, whatever the cohort lacks of it and however it is carried out."""
    said = {key: value for key, value in values.items() if key not in FREE}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def is_finished(folder: Path, config: DictConfig) -> bool:
    """Whether this job of a sweep was brought to its end before, with this config and on the cohort as it is now."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not manifest.get("finished"):
        return False
    values: Any = OmegaConf.to_container(config, resolve=True)
    cohort = Path(values["data"]["path"])
    same = manifest["config_sha256"] == config_hash(values)
    return same and cohort.is_dir() and bool(manifest["inputs"] == hash_inputs(cohort))


class TellFailures(Callback):
    """At the end of a sweep: which jobs failed, why, and how to run them again; exit code 1 if any did."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        failed = sorted(folder.glob(f"*/{ERROR}"))
        for path in failed:
            print(f"{path.parent}: {path.read_text(encoding='utf-8').strip()}", file=sys.stderr)
        if failed:
            print(f"{len(failed)} of the jobs failed; to run them again: -m resume={folder}", file=sys.stderr)
            sys.exit(1)
