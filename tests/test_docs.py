"""The pages keep their word: links resolve, files and commands that they name exist, settings compose."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir

from fusion.cli import CONFIGS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "examples" / "README.md"])
EXPERIMENTS = sorted((ROOT / "configs" / "experiment").glob("*.yaml"))
SOURCE = re.compile(r"(?:[\w.-]+/)+|(?:[\w.-]+/)*[\w.-]+\.(?:py|md|toml|yaml|ipynb)")
#: What the guide to a new assay invents, and what lies in a user's folder.
ELSEWHERE = (
    "MODEL_CARD.md",
    "RUN_DIR/",
    "explain/",
    "slides/",
    "figures/",
    "tcr.py",
    "test_tcr.py",
    "tcr.yaml",
    "cohort.yaml",
    "runs/",
    "final_model/",
    "multirun/",
    "data/",
    "site/",
    ".hydra/",
    "study.db",
    "trials.csv",
    "best.yaml",
)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Names that a link may point to: slugs of the headings, and explicit ones."""
    text = page.read_text()
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    slugs = {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.lower())).strip("-") for heading in headings}
    return slugs | set(re.findall(r'id="([\w-]+)"', text))


def commands(text: str) -> Iterator[str]:
    """Commands in fenced blocks, continued lines joined, comments and chains taken apart; and those in a sentence."""
    fenced = re.findall(r"^```(?:sh|bash)?\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in fenced for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *re.findall(r"`([^`\n]+)`", text)]:
        for command in re.sub(r"\s#\s.*", "", line).split("&&"):
            if re.match(r"\s*(\S*python |\S*fusion-|make )", command):
                yield command.strip()


def settings(command: str) -> tuple[str, list[str]] | None:
    """The body of a Hydra command and its words, of a sweep the first value each; None for any other command."""
    words = shlex.split(command)
    if words[0].endswith("python"):
        words = words[1:]
    body = re.fullmatch(r"(?:.*/)?(?:fusion-(\w+)|(\w+)\.py)", words[0])
    if not body or (body[2] and not words[0].startswith("scripts/")):
        return None
    swept = "-m" in words
    chosen = [word for word in words[1:] if "=" in word and "..." not in word]
    if swept:  # the commas between values, not those inside a list
        chosen = [re.split(r",(?![^\[]*\])", word)[0] for word in chosen]
    return body[1] or body[2], [re.sub(r"\$\w+", "0", word) for word in chosen]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page: Path):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if anchor and found.suffix == ".md" and found != DOCS / "results.md":
            assert anchor in anchors(found), target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_a_page_names_exist(page: Path):
    package = ROOT / "src" / "fusion"
    layers = [path for path in package.iterdir() if path.is_dir()]
    places = [ROOT, ROOT / "scripts", ROOT / "examples", package, *layers]
    for token in re.findall(r"`([^`\s]+)`", prose(page)):
        elsewhere = {Path(token).name, f"{token.split('/')[0]}/"} & set(ELSEWHERE)
        if SOURCE.fullmatch(token) and not elsewhere:
            assert any((place / token).exists() for place in places), token


@pytest.mark.parametrize("page", [*PAGES, *EXPERIMENTS], ids=name_of)
def test_commands_of_a_page_exist_and_compose(page: Path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    makefile = (ROOT / "Makefile").read_text()
    text = page.read_text()
    if page.suffix == ".yaml":
        text = "```\n" + text.replace("# python", "python") + "```"
    for command in commands(text):
        if command.startswith("make "):
            target = command.split()[1]
            assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), command
            continue
        for script in re.findall(r"\b(?:scripts|examples|benchmarks)/\w+\.py", command):
            assert (ROOT / script).exists(), command
        for entry in re.findall(r"fusion-\w+", command):
            assert entry in project["scripts"] or entry == project["name"], command
        found = settings(command)
        if found is None or "tcr" in command:
            continue
        body, words = found
        with initialize_config_dir(CONFIGS, version_base="1.3"):
            assert compose(body, words, return_hydra_config=True), command


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name_of)
def test_experiment_says_what_it_is_and_its_command(path: Path):
    lines = path.read_text().splitlines()
    comment = " ".join(line for line in lines[1:4] if line.startswith("#"))
    assert lines[0] == "# @package _global_"
    assert "python scripts/train.py" in comment
    assert path.stem == "demo" or f"experiment={path.stem}" in comment
    assert len(lines) <= 25
    assert yaml.safe_load(path.read_text())["name"] == path.stem


def test_every_page_is_in_the_navigation():
    def leaves(node: object) -> Iterator[str]:
        for item in node if isinstance(node, list) else node.values() if isinstance(node, dict) else []:
            yield from [item] if isinstance(item, str) else leaves(item)

    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    assert sorted(leaves(navigation)) == sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "results.md"], ids=name_of)
def test_results_have_their_place(page: Path):
    text = page.read_text()
    assert text.count("<!-- results:begin -->") == text.count("<!-- results:end -->") == 1
    assert text.index("<!-- results:begin -->") < text.index("<!-- results:end -->")


def test_readme_says_what_it_is_for_and_what_it_is_not():
    text = (ROOT / "README.md").read_text()
    assert "Research use only" in text
    assert "no medical advice" in text
    assert "](docs/img/demo.png)" in text
