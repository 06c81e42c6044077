"""Fits folds of a run beside the process that began it: `python -m fusion.run.fold_worker RUN_DIR`.

Start as many as there are cores, on any machine that sees the folder. Each takes folds that nobody is at, ends when
none is left, and may be stopped at any time: another takes its fold up.
"""

from fusion.run.helpers import help_with
from fusion.run.train import help_folds

if __name__ == "__main__":
    help_with(help_folds)
