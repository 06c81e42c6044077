"""The one table of `make bench`: work, ours, the floor, the peer's way, ratios, from the JSON of every script.

    python benchmarks/table.py [from=runs/bench] [figure=FILE.png]

Seconds are medians of repetitions taken in turn, in the clock of the script; the raw ones lie in its JSON, with the
facts of the machine. Two lines of different scripts may be of different minutes: compare within a line.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _timing import markdown

#: What the scripts call the floor and the peer's way.
FLOORS = ("floor", "one preadv")
PEERS = ("peer", "lifelines", "h5 as TRIDENT and CLAM write it", "one by one, AdamW")


@dataclass(frozen=True)
class Line:
    """Seconds of one work."""

    script: str
    work: str
    ours: float
    floor: float | None
    peer: float | None

    def row(self) -> dict[str, str]:
        """The line in words."""
        return {
            "script": self.script,
            "work": self.work,
            "ours, ms": milliseconds(self.ours),
            "floor, ms": milliseconds(self.floor),
            "peer, ms": milliseconds(self.peer),
            "ours / floor": f"{self.ours / self.floor:.2f}" if self.floor else "-",
            "peer / ours": f"{self.peer / self.ours:.2f}" if self.peer else "-",
        }


def milliseconds(seconds: float | None) -> str:
    """Three digits, or a dash.

    >>> milliseconds(0.01234), milliseconds(None)
    ('12.3', '-')
    """
    return "-" if seconds is None else f"{1e3 * seconds:,.{max(0, 2 - len(str(int(1e3 * seconds))) + 1)}f}"


def lines(script: str, results: Mapping[str, Any] | Sequence[Any]) -> Iterator[Line]:
    """The lines of one script; what has no medians is passed over."""
    named = results.items() if isinstance(results, Mapping) else [(each.get("name", ""), each) for each in results]
    for work, found in named:
        median = found.get("median") if isinstance(found, Mapping) else None
        if not median:
            continue
        floor, peer = (next((median[name] for name in names if name in median), None) for names in (FLOORS, PEERS))
        ours = median.get("ours")
        if "batched" in median:  # many models: what `auto` would take
            ours = median["batched" if found.get("auto", "batched") == "batched" else "one by one, fused"]
        if ours is not None:
            yield Line(script, work, ours, floor, peer)
        if "bf16" in median:
            yield Line(script, f"{work}, bf16", median["bf16"], floor, peer)


def read(folder: Path) -> list[Line]:
    """The lines of all scripts whose JSON lies in a folder."""
    found = []
    for path in sorted(folder.glob("*.json")):
        results = json.loads(path.read_text(encoding="utf-8")).get("results", ())  # a study of quality has none
        found += lines(path.stem, results)
    return found


def draw(found: Sequence[Line], path: Path) -> None:
    """How many times quicker than the peer's way, and how far above the floor, work by work."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    compared = [line for line in found if line.floor or line.peer][::-1]
    figure, panels = plt.subplots(1, 2, figsize=(10, 0.9 + 0.24 * len(compared)), sharey=True)
    place = range(len(compared))
    floor = [line.ours / line.floor if line.floor else 0.0 for line in compared]
    peer = [line.peer / line.ours if line.peer else 0.0 for line in compared]
    for panel, values, title in zip(panels, (floor, peer), ("ours / floor", "peer's way / ours"), strict=True):
        panel.barh(place, values, color="#4477aa")
        panel.axvline(1.0, color="black", lw=0.8)
        panel.set_title(title, fontsize=9)
        for y, value in enumerate(values):
            text = f" {value:.0f}" if value >= 100 else f" {value:.2g}"
            clear = {"facecolor": "white", "edgecolor": "none", "pad": 0.4}
            panel.text(value, y, text if value else "", va="center", fontsize=7, bbox=clear)
    panels[1].set_xscale("symlog", linthresh=2.0)
    names = [line.work if line.script == "step" else f"{line.script}: {line.work}" for line in compared]
    panels[0].set_yticks(list(place), [name.replace("_", " ") for name in names], fontsize=7)
    panels[0].margins(x=0.12)
    panels[0].set_ylim(-0.7, len(compared) - 0.3)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)


def main(words: Sequence[str]) -> int:
    """Print the table, and draw it where `figure=` is given."""
    given = dict(word.split("=", 1) for word in words)
    folder = Path(given.get("from", "runs/bench"))
    found = read(folder)
    if not found:
        print(f"{folder} holds no results; run `make bench` first", file=sys.stderr)
        return 1
    print(markdown([line.row() for line in found]))
    if "figure" in given:
        draw(found, Path(given["figure"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
