"""What leaves the checkout and what CI relies on: the wheel, the Makefile, `.ci/run`, and no trace of one machine."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
CI = (ROOT / ".ci" / "run").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """File names of the wheel, built without a network by the backend of the environment."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--no-build-isolation", "--wheel-dir", out, ROOT], check=True, capture_output=True)
    (wheel,) = out.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_wheel_holds_every_module_config_and_template(wheel_names: set[str]):
    source = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "fusion").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    configs = {f"fusion/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "configs").rglob("*.yaml")}
    assert "fusion/configs/train.yaml" in configs
    assert any(name.endswith((".html", ".j2")) for name in source), "the report's templates"
    assert source | configs <= wheel_names


def test_wheel_holds_nothing_else(wheel_names: set[str]):
    assert {name.split("/")[0] for name in wheel_names} == {
        "fusion",
        f"fusion_oncology-{PROJECT['project']['version']}.dist-info",
    }


def test_console_commands_lead_to_functions():
    for command, target in PROJECT["project"]["scripts"].items():
        module, function = target.split(":")
        assert callable(getattr(import_module(module), function)), command


@pytest.mark.parametrize("target", ["demo", "test", "setup", "lint", "bench", "docs", "clean"])
def test_makefile_has_target(target: str):
    assert re.search(rf"^{target}:", MAKEFILE, flags=re.MULTILINE)


def test_ci_runs_the_test_command_of_the_readme():
    assert re.search(r"\bmake test\b", CI)
    assert re.search(r"\bmake test\b", (ROOT / "README.md").read_text())
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_constraints_cover_every_direct_dependency():
    pinned = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    project = PROJECT["project"]
    wanted = [
        *project["dependencies"],
        *(need for extra in project["optional-dependencies"].values() for need in extra),
    ]
    names = {re.match(r"[\w-]+", need)[0].lower() for need in wanted}
    # The Ray launcher asks for a cloudpickle that joblib's does not take: an extra of its own, in its own environment.
    assert names - {project["name"], "hydra-ray-launcher"} <= pinned
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text()


@pytest.mark.parametrize(
    "name", ["pyproject.toml", "constraints.txt", "Makefile", ".ci/run", ".pre-commit-config.yaml"]
)
def test_dependency_files_hold_no_address(name: str):
    assert "://" not in (ROOT / name).read_text()


def test_no_tracked_file_names_a_path_of_one_machine():
    machine = re.compile(rb"(?<![\w.~$}])/(work|root|home)/[\w.]")
    found = [str(path.relative_to(ROOT)) for path in tracked_files() if machine.search(path.read_bytes())]
    assert found == []


def test_no_tracked_file_is_above_one_megabyte():
    assert [path.name for path in tracked_files() if path.stat().st_size > 2**20] == []


def test_notebooks_are_committed_without_output():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells), path.name
