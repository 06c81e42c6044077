"""Sweeps: what was finished is not run again, what failed is told, and every launcher brings its jobs to the end."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from composed import FAST, ROOT, called, on_cohort
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from tiny import write_tiny_cohort

from fusion.build import plain
from fusion.run import sweep, train
from fusion.training.manifest import hash_inputs

SHORT = [
    *FAST,
    "modality=[plasma]",
    "task=[os]",
    "members=1",
    "baselines=none",
    "final_model=false",
    "trainer.lightning.max_epochs=1",
    "evaluation.report=false",
]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [*on_cohort(write_tiny_cohort(tmp_path_factory.mktemp("sweep") / "cohort", patients=24)), *SHORT]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Seeds of the jobs that are trained from now on; training is but its last act, or what is said instead."""

    def watch(**instead: Exception | type[BaseException]) -> list[int]:
        seeds: list[int] = []

        def act(config: DictConfig) -> int:
            seeds.append(config.seed)
            if f"seed{config.seed}" in instead:
                raise instead[f"seed{config.seed}"]
            values = plain(config)
            facts = {"config_sha256": sweep.config_hash(values), "inputs": hash_inputs(Path(values["data"]["path"]))}
            folder = Path(HydraConfig.get().runtime.output_dir)
            (folder / "manifest.json").write_text(json.dumps({**facts, "finished": True}))
            return 0

        monkeypatch.setattr(train, "train", act)
        return seeds

    return watch


def finished(folder: Path) -> set[str]:
    return {p.parent.name for p in folder.glob("*/manifest.json") if json.loads(p.read_text()).get("finished")}


def test_a_sweep_goes_on_where_it_was_stopped(
    words: list[str], tmp_path: Path, trained: Callable[..., list[int]], capfd: pytest.CaptureFixture[str]
):
    """One job fails, one is interrupted: the folder of the sweep alone is enough to run these two, and no other."""
    folder = tmp_path / "sweep"
    seeds = trained(seed1=ValueError("the disk is full"), seed2=KeyboardInterrupt)
    assert called("train", "-m", "seed=0,1,2", *words, f"hydra.sweep.dir={folder}") == 130
    assert seeds == [0, 1, 2]
    assert finished(folder) == {"0"}
    assert f"-m resume={folder}" in capfd.readouterr().err

    seeds = trained(seed1=ValueError("the disk is full"))
    assert called("train", f"resume={folder}") == 1, "a sweep in which a job failed has failed"
    assert seeds == [1, 2], "not the finished one, and the failed one does not stop the other"
    assert finished(folder) == {"0", "2"}
    assert f"{folder / '1'}: the disk is full" in capfd.readouterr().err

    seeds = trained()
    assert called("train", "-m", f"resume={folder}") == 0
    assert seeds == [1]
    assert not list(folder.glob("*/error.txt"))

    seeds = trained()
    assert called("train", "-m", f"resume={folder}") == 0
    assert seeds == []


def test_a_job_is_run_again_for_another_config_or_cohort(
    words: list[str], tmp_path: Path, trained: Callable[..., list[int]]
):
    sweep_words = ["-m", "seed=0,1", f"hydra.sweep.dir={tmp_path / 'sweep'}", *words]
    trained()
    assert called("train", *sweep_words) == 0
    for changed in ([], ["launcher=local", "workers=3", "debug=true"]):
        seeds = trained()
        assert called("train", *sweep_words, *changed) == 0
        assert seeds == [], "how it is carried out does not matter"
    seeds = trained()
    assert called("train", *sweep_words, "members=3") == 0
    assert seeds == [0, 1]
    cohort = write_tiny_cohort(tmp_path / "cohort", patients=24)
    assert called("train", *sweep_words, f"data.path={cohort}") == 0
    seeds = trained()
    write_tiny_cohort(cohort, patients=24, seed=1)
    assert called("train", *sweep_words, f"data.path={cohort}") == 0
    assert seeds == [0, 1]


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """The folder of a sweep as Hydra leaves it at the start."""
    (tmp_path / "multirun.yaml").write_text(
        "hydra:\n  overrides:\n"
        "    hydra: [hydra.mode=MULTIRUN, hydra.launcher.n_jobs=2, hydra.sweep.dir=there]\n"
        '    task: [launcher=joblib, "seed=0,1"]\n'
    )
    return tmp_path


def test_a_sweep_may_go_on_by_another_launcher(begun: Path):
    again = ["-m", "launcher=slurm", "seed=0,1", f"resume={begun}", "hydra.launcher.mem_gb=8"]
    here = f"hydra.sweep.dir='{begun}'"
    assert sweep.words_of_sweep(begun, again) == ["-m", "seed=0,1", "launcher=slurm", "hydra.launcher.mem_gb=8", here]
    more = sweep.words_of_sweep(begun, [f"resume={begun}", "hydra.launcher.n_jobs=8"])
    assert more == ["-m", "launcher=joblib", "seed=0,1", "hydra.launcher.n_jobs=8", here]


def test_a_resumed_sweep_keeps_its_jobs(begun: Path):
    with pytest.raises(ValueError, match="leave out seed=0,1,2"):
        sweep.words_of_sweep(begun, ["-m", "seed=0,1,2", f"resume={begun}"])


@pytest.mark.parametrize(("launcher", "extra"), [("joblib", "sweep"), ("slurm", "slurm"), ("ray", "ray")])
def test_a_launcher_that_is_not_installed_names_its_extra(
    launcher: str, extra: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sweep, "find_spec", lambda _: None)
    assert called("train", "-m", f"launcher={launcher}", "seed=0,1") == 1
    assert f"pip install 'fusion-oncology[{extra}]'" in capfd.readouterr().err


# --- launchers --------------------------------------------------------------------------------------------------------


def launched(launcher: str, words: list[str], folder: Path, **environment: str) -> None:
    """Two jobs by a launcher, each in a process of its own, with the one core that it was given."""
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), "-m", f"launcher={launcher}", "seed=0,1"]
    kept = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    subprocess.run([*command, *words, f"hydra.sweep.dir={folder}"], env={**kept, **environment}, check=True)
    assert finished(folder) == {"0", "1"}
    assert {json.loads((folder / job / "manifest.json").read_text())["device"] for job in "01"} == {"cpu, 1 threads"}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_launcher_runs_jobs_side_by_side(
    launcher: str, words: list[str], tmp_path: Path, trained: Callable[..., list[int]]
):
    pytest.importorskip(f"hydra_plugins.{sweep.LAUNCHERS[launcher][1]}")
    launched(launcher, words, tmp_path)
    seeds = trained()
    assert called("train", f"resume={tmp_path}", "launcher=local") == 0
    assert seeds == [], "both were finished"


SBATCH = """#!/bin/bash
# Takes the array and answers at once, as the real one does: submitit lays out what a task needs only then.
cp "${!#}" "$0.sh"
[[ $(<"$0.sh") =~ --array=0-([0-9]+) ]]
export SLURM_ARRAY_JOB_ID=70 SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_JOB_NODELIST=here SLURM_CPUS_PER_TASK=1
export SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0
for task in $(seq 0 "${BASH_REMATCH[1]}"); do
    SLURM_JOB_ID=$((71 + task)) SLURM_ARRAY_TASK_ID=$task bash "$0.sh"
    touch "$0.$task"
done > "$0.log" 2>&1 &
echo "Submitted batch job 70"
"""
SRUN = '#!/bin/bash\nwhile [[ $1 == -* ]]; do [[ $1 == --output ]] && shift; shift; done\nexec "$@"\n'
SACCT = """#!/bin/bash
echo 'JobID|State'
for task in 0 1; do
    [[ -e ${0%sacct}sbatch.$task ]] && echo "70_$task|COMPLETED" || echo "70_$task|RUNNING"
done
"""


@pytest.mark.slow
def test_slurm_gets_one_array_of_jobs(words: list[str], tmp_path: Path):
    """The scheduler is a stand-in; the script that it gets, and what the jobs find around them, are real."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    for name, text in {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT}.items():
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    launched("slurm", [*words, "hydra.launcher.partition=short"], tmp_path / "sweep", PATH=path)
    script = next((tmp_path / "sweep" / ".submitit").rglob("*.sh")).read_text()
    wanted = ["array=0-1%", "partition=short", "cpus-per-task=4", "mem=16GB", "time=240", "requeue", "signal=USR2@120"]
    wanted += ["OMP_NUM_THREADS=", "SRUN_CPUS_PER_TASK="]
    assert [word for word in wanted if word not in script] == []


@pytest.mark.slow
def test_ray_runs_jobs_as_tasks(words: list[str], tmp_path: Path):
    pytest.importorskip("hydra_plugins.hydra_ray_launcher")
    launched("ray", [*words, "hydra.launcher.ray.remote.num_cpus=1"], tmp_path)
