"""What starting costs: importing the package, the help of every command, one patient predicted from cold, a step.

    python benchmarks/overhead.py [run=RUN_FOLDER cohort=FOLDER] [only=loop] [out=FILE]

Every figure is the wall time of a fresh process, the processes taken in turn. `import fusion` is held against
`import torch`; a prediction needs a finished run and a folder with one patient. Where no bytecode may be written
(PYTHONDONTWRITEBYTECODE, said in the table), a start compiles what the environment was not installed with.

The loop: what a step of a fold of the demo takes beyond outputs, loss, gradients, optimizer, averages and validation,
with the callbacks and the log of a run; CPU milliseconds of one thread. `only=loop` measures that alone.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from _runs import ROOT
from _timing import CPU, REPETITIONS, Work, interleaved, markdown, medians, save

GOALS = {"help": "2 s", "predict": "5 s"}
#: Epochs of one measurement of the loop.
EPOCHS = 24


def fresh(*words: str) -> None:
    """Run Python in a process of its own; it must succeed."""
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr[-400:]}")


class Watch:
    """Seconds of what is done under it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        start = CPU()
        yield
        self.seconds += CPU() - start

    def watched(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, watched."""

        def whole(*args: Any, **kwargs: Any) -> Any:
            with self():
                return work(*args, **kwargs)

        return whole


def loop_of(recipe: Any, make: Callable[[], Any], batch: Any) -> tuple[float, float]:
    """Seconds that a step of a fit takes beyond its work, and those of its work."""
    import torch

    from fusion.training.callbacks import Patience, SeededSteps
    from fusion.training.loop import train
    from fusion.training.module import EnsembleModule

    watch = Watch()

    class Optimizer(torch.optim.AdamW):
        def step(self, closure: Any = None) -> Any:
            loss = closure()
            with watch():
                super().step()
            return loss

    class Module(EnsembleModule):
        def on_train_start(self) -> None:
            self.began, watch.seconds = CPU(), 0.0

        def on_train_end(self) -> None:
            self.took = CPU() - self.began

    for name in ("training_step", "validate", "backward", "follow"):
        setattr(Module, name, watch.watched(getattr(Module, name)))
    inner = {patient: number % 5 for number, patient in enumerate(batch.patient_ids)}
    module = Module(ensemble=make(), optimizer=partial(Optimizer, lr=3e-3, fused=True), inner_fold=inner)
    module.batch_learners(batch)
    with tempfile.TemporaryDirectory() as folder:
        callbacks = [Patience(EPOCHS), SeededSteps(0)]
        logger = recipe.make_logger(Path(folder))
        trainer = recipe.make_trainer(
            default_root_dir=folder, callbacks=callbacks, logger=logger, max_epochs=EPOCHS, enable_checkpointing=False
        )
        train(
            *(trainer, module, batch, lambda chosen: batch),
            num_patients=batch.num_patients,
            batch_size=None,
            seed=0,
            last=Path(folder) / "last.ckpt",
        )
    return (module.took - watch.seconds) / EPOCHS, watch.seconds / EPOCHS


def loop() -> tuple[dict[str, Any], dict[str, str]]:
    """What the loop costs a step of a fold of the demo, and its line of the table."""
    import torch
    from many_models import demo

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    fold = demo()
    both = [loop_of(*fold) for _ in range(1 + REPETITIONS)][1:]
    torch.set_num_threads(threads)
    beyond, work = ([each[place] for each in both] for place in (0, 1))
    found = medians({"beyond": beyond, "work": work})
    name = f"a step beyond its work of {1e3 * found['work']:.0f} ms"
    row = {"a fresh process": name, "median, s": f"{found['beyond']:.4f}", "goal": ".003 s"}
    return {name: {"median": {"ours": found["beyond"]}, "seconds": beyond}}, row


def main(words: Sequence[str]) -> None:
    given = dict(word.split("=", 1) for word in words)
    results, row = loop()
    if given.get("only") == "loop":
        print(markdown([row]))
        save(results, words)
        return
    works: dict[str, Work] = {
        "python": partial(fresh, "-c", "pass"),
        "import torch": partial(fresh, "-c", "import torch"),
        "import torch, fusion": partial(fresh, "-c", "import torch, fusion"),
    }
    for script in sorted((ROOT / "scripts").glob("*.py")):
        works[f"help of {script.name}"] = partial(fresh, str(script), "--help")
    with tempfile.TemporaryDirectory() as place:
        if "run" in given:
            run, cohort = (Path(given[name]).resolve() for name in ("run", "cohort"))
            paths = [f"run={run}", f"data.path={cohort}", f"out={place}/new.parquet"]
            works["predict from cold"] = partial(fresh, "scripts/predict.py", *paths)
        seconds = interleaved(works, repetitions=7, warm_up=1)
    found = medians(seconds)
    rows = [
        {"a fresh process": name, "median, s": f"{found[name]:.2f}", "goal": GOALS.get(name.split()[0], "")}
        for name in works
    ]
    beyond = found["import torch, fusion"] - found["import torch"]
    rows.append({"a fresh process": "import fusion beyond torch", "median, s": f"{beyond:.3f}", "goal": ".15 s"})
    rows.append(row)
    print(markdown(rows))
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        print("PYTHONDONTWRITEBYTECODE is set")
    results |= {name: {"median": {"ours": found[name]}, "seconds": seconds[name]} for name in works}
    save(results, words)


if __name__ == "__main__":
    main(sys.argv[1:])
