"""The default model beside every plain model on simulated cohorts of several presets, sizes and seeds.

    python benchmarks/quality.py run=true [jobs=2] [presets=strong,realistic] [patients=120,240] [seeds=0,1,2,3,4]
    python benchmarks/quality.py [out=FILE]       the table of the runs that are finished
    ... also=lesions                              with one more entry of `modality`, in folders of their own
    ... repeats=3                                 the folds dealt so many times, likewise

Overall survival, 5 folds once, five members, all plain models, tuned inside the same training parts. Per cohort and
day the model is held against the plain model that is best in the mean over seeds (chosen on these very patients, which
flatters it), and in its worst seed against the best of that seed. The calibration slope is the model's for one year:
mean, least and greatest of the seeds.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from _runs import DAYS, MODALITIES, ROOT, finished, markdown, scores_of, train_all
from _timing import write

SHARED = (
    *("task=[os]", "final_model=false", "trainer=quiet", "evaluation.report=false"),
    *("evaluation.resamples=200", "evaluation.landmarks=[42,84]"),
)


def row_of(label: str, folders: Sequence[Path]) -> list[dict[str, str]]:
    """One row per day: the model, the best plain model and the differences."""
    found = [scores_of(folder) for folder in folders]
    names = sorted(set.intersection(*(set(each) for each in found)))
    scores = {name: np.array([each[name] for each in found]) for name in names}  # seeds x days
    plain = {name: value for name, value in scores.items() if not name.startswith("fusion")}
    slopes = np.array([scores_of(folder, "calibration_slope")["fusion"] for folder in folders])
    rows = []
    for place, day in enumerate(DAYS):
        means = {name: float(value[:, place].mean()) for name, value in plain.items()}
        best = max((name for name in means if np.isfinite(means[name])), key=lambda name: means[name])
        ours = scores["fusion"][:, place]
        away = ours - plain[best][:, place]
        highest = np.nanmax(np.array([value[:, place] for value in plain.values()]), axis=0)
        error = away.std(ddof=1) / len(away) ** 0.5 if len(away) > 1 else float("nan")
        row = {
            "cohort": label,
            "seeds": str(len(folders)),
            "at": "baseline" if day == "0" else f"day {day}",
            "fusion": f"{ours.mean():.3f}",
            "best plain model in the mean": f"{means[best]:.3f} {best}",
            "difference (SE over seeds)": f"{away.mean():+.3f} ({error:.3f})",
            "worst seed, against its best": f"{(ours - highest).min():+.3f}",
            "landmark_last": f"{means.get('landmark_last', float('nan')):.3f}",
            "calibration slope": "{:.2f} ({:.2f} to {:.2f})".format(
                *(of(slopes[:, place]) for of in (np.mean, np.min, np.max))
            ),
        }
        rows.append(row)
    return rows


def main(words: Sequence[str]) -> None:
    given = dict(word.split("=", 1) for word in words)
    presets = given.get("presets", "strong,realistic").split(",")
    sizes = given.get("patients", "120,240").split(",")
    seeds = given.get("seeds", "0,1,2,3,4").split(",")
    place = ROOT / "runs" / "quality"
    also, repeats = [given["also"]] if "also" in given else [], given.get("repeats", "1")
    more = [f"split.repeats={repeats}"]
    if also:
        more.append(f"modality=[{','.join([*MODALITIES, *also])}]")
    marks = [*also, *([f"{repeats}_repeats"] if repeats != "1" else [])]
    cohorts = {
        (preset, size): [place / "_".join([preset, size, f"seed{seed}", *marks]) for seed in seeds]
        for preset in presets
        for size in sizes
    }
    if given.get("run") == "true":
        runs = {}
        for seed_place, seed in enumerate(seeds):
            for (preset, size), folders in cohorts.items():
                words_of = [
                    f"data.simulate.preset={preset}",
                    f"data.simulate.patients={size}",
                    f"data.simulate.seed={seed}",
                ]
                runs[folders[seed_place]] = [*SHARED, *words_of, *more, f"name={folders[seed_place].name}"]
        train_all(runs, int(given.get("jobs", "1")))
    rows = []
    for (preset, size), folders in cohorts.items():
        done = [folder for folder in folders if finished(folder)]
        rows += row_of(", ".join([preset, size, *marks]).replace("_", " "), done) if done else []
    if not rows:
        print(f"no finished run below {place}; run=true makes them")
        return
    print(markdown(rows))
    out = Path(given.get("out", ROOT / "runs" / "bench" / "quality.json"))
    write(out, rows=rows)


if __name__ == "__main__":
    main(sys.argv[1:])
