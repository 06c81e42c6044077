"""Takes trials of a tuning run beside the process that began it: `python -m fusion.run.tune_worker RUN_DIR`.

Start as many as there are cores, on any machine that sees the folder (and the storage, if it is not the file in the
folder). Each ends when no trial is left, and may be stopped at any time: another takes its trial up.
"""

from fusion.run.helpers import help_with
from fusion.run.tune import help_search

if __name__ == "__main__":
    help_with(help_search)
