"""The one picture of a run."""

from pathlib import Path

import pytest
from fake_run import write_run

from fusion.report import headline_figure


def test_picture_is_a_wide_png_and_the_same_bytes(complete_run: Path, tmp_path: Path) -> None:
    first, second = (headline_figure(complete_run, tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(first[i : i + 4], "big") for i in (16, 20))
    assert width > 1500
    assert 2.5 < width / height < 4
    assert first == second


def test_a_run_that_cannot_be_drawn_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path, tasks=("os",), visits=1)
    with pytest.raises(ValueError, match="draw another run"):
        headline_figure(run, tmp_path / "out.png")
