"""The commands: each composes its config with Hydra, calls its body in `fusion.run`, and answers with an exit code.

torch is imported only once a command has work to do, so that `--help` is quick.
"""

import logging
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, MissingMandatoryValue, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fusion.run.sweep import ERROR, check_launcher, is_finished, words_of_sweep

_CHECKOUT = Path(__file__).resolve().parents[2] / "configs"
CONFIGS = str(_CHECKOUT if (_CHECKOUT / "train.yaml").is_file() else Path(__file__).resolve().parent / "configs")


def _resume_from() -> str | None:
    """The run folder named by `resume=` on the command line, if any."""
    named = [word.removeprefix("resume=").strip("'\"") for word in sys.argv[1:] if word.startswith("resume=")]
    return named[-1] if named and named[-1] not in {"null", ""} else None


# A resumed run goes on in its own folder; Hydra settles the folder before the config can be asked.
OmegaConf.register_new_resolver("fusion.run_dir", lambda default: _resume_from() or default, replace=True)
# `preset=null` names the cohort without signal, though YAML reads the word as nothing.
OmegaConf.register_new_resolver("fusion.word", lambda value: "null" if value is None else str(value), replace=True)


#: Modules of `fusion.run` that are not named after their command.
_HOMES = {"simulate": "cohorts", "validate": "cohorts", "report": "folder"}


def _command(body: str, config: DictConfig) -> None:
    """Run a body of `fusion.run` and turn the user's mistakes into a message and exit code 1."""
    logging.getLogger("numexpr").setLevel(logging.WARNING)  # it tells the number of threads as pandas is imported
    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    swept = hydra_config.mode == RunMode.MULTIRUN and body in ("train", "tune")
    try:
        if swept:
            (folder / ERROR).unlink(missing_ok=True)
        if swept and body == "train" and is_finished(folder, config):
            print(f"{folder} is finished already")
            return
        home = import_module(f"fusion.run.{_HOMES.get(body, body)}")  # of this command alone: some import Lightning
        code = getattr(home, body)(config)
    except KeyboardInterrupt:
        again = f"-m resume={hydra_config.sweep.dir}" if swept else f"resume={folder}"
        hint = f"; go on with {again}" if body in ("train", "tune") else ""
        print(f"interrupted{hint}", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if config.get("debug"):
            raise
        print(f"error: {_message(error)}", file=sys.stderr)
        if swept:  # the other jobs go on
            (folder / ERROR).write_text(_message(error) + "\n", encoding="utf-8")
            return
        sys.exit(1)
    if code:
        sys.exit(code)


def _message(error: Exception) -> str:
    """What the user is told of an error: its own words, and of an error that nobody foresaw also its kind."""
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} is not set; give {error.full_key}=..."
    if isinstance(error, ValueError | OSError | ImportError | HydraException | OmegaConfBaseException):
        return str(error)
    return f"{type(error).__name__}: {error} (debug=true shows where)"


def _main(name: str) -> Callable[[], Any]:
    @hydra.main(version_base="1.3", config_path=CONFIGS, config_name=name)
    def main(config: DictConfig) -> None:
        _command(name, config)

    def entry() -> None:
        folder = _resume_from()
        try:
            if folder and (Path(folder) / "multirun.yaml").is_file():
                sys.argv[1:] = words_of_sweep(Path(folder), sys.argv[1:])
            elif folder and not (Path(folder) / "config.json").is_file():  # before Hydra makes a folder of that name
                raise ValueError(f"{folder} holds no run to resume (no config.json)")
            check_launcher(sys.argv[1:])
        except (ValueError, ImportError) as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)
        main()

    entry.__doc__ = f"Console command `fusion-{name}`."
    return entry


simulate = _main("simulate")
validate = _main("validate")
train = _main("train")
tune = _main("tune")
evaluate = _main("evaluate")
predict = _main("predict")
report = _main("report")
explain = _main("explain")
figures = _main("figures")
power = _main("power")
