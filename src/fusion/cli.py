"""The commands: each composes its config with Hydra, calls its body in `fusion.run`, and answers with an exit code.

torch is imported only once a command has work to do, so that `--help` is quick.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

_CHECKOUT = Path(__file__).resolve().parents[2] / "configs"
CONFIGS = str(_CHECKOUT if (_CHECKOUT / "train.yaml").is_file() else Path(__file__).resolve().parent / "configs")


def _resume_from() -> str | None:
    """The run folder named by `resume=` on the command line, if any."""
    named = [word.removeprefix("resume=").strip("'\"") for word in sys.argv[1:] if word.startswith("resume=")]
    return named[-1] if named and named[-1] not in {"null", ""} else None


# A resumed run goes on in its own folder; Hydra settles the folder before the config can be asked.
OmegaConf.register_new_resolver("fusion.run_dir", lambda default: _resume_from() or default, replace=True)


def _command(body: str, config: DictConfig) -> None:
    """Run a body of `fusion.run` and turn the user's mistakes into a message and exit code 1."""
    from fusion import run

    try:
        code = getattr(run, body)(config)
    except KeyboardInterrupt:
        print("interrupted; go on with resume=RUN_DIR", file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError, ImportError) as error:
        if config.get("debug"):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    if code:
        sys.exit(code)


def _main(name: str) -> Callable[[], Any]:
    @hydra.main(version_base="1.3", config_path=CONFIGS, config_name=name)
    def main(config: DictConfig) -> None:
        _command(name, config)

    def entry() -> None:
        os.environ.setdefault("HYDRA_FULL_ERROR", "0")
        main()

    entry.__doc__ = f"Console command `fusion-{name}`."
    return entry


simulate = _main("simulate")
validate = _main("validate")
train = _main("train")
evaluate = _main("evaluate")
predict = _main("predict")
report = _main("report")
