"""A training step over bags of many patients on a GPU, against what its products and its memory allow.

    python benchmarks/gpu.py [out=FILE]

32 patients x 16,384 patches x 1,024 features in bf16, on the device. The rates of matrix products and of copies are
measured in the same call. The floor is the projection to 256, forward and weight gradient: the larger of its
multiplications at the one rate and of two readings of the bags at the other. Without CUDA a tiny version runs on the
CPU, to show that it runs: its figures say nothing.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from _timing import WALL, Work, interleaved, markdown, medians, save
from step import Reader, Sizes, bags, co_attention, floor_of, gated_attention, latent_attention, step
from torch.profiler import DeviceType, ProfilerActivity, profile

from fusion.types import Samples

#: The least share of the floor's rate, and the most launches a step.
GOAL_SHARE, GOAL_LAUNCHES = 0.5, 200

FULL = Sizes(bags=((32, 16_384),))
TINY = Sizes(bags=((3, 50),), width=16, dim=8, latents=2, questions=2)


def waited(work: Work, device: torch.device) -> Work:
    """The work up to its end on the device."""

    def whole() -> None:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return whole


def rates(device: torch.device, size: int) -> dict[str, float]:
    """Multiply-adds of a matrix product in bf16, counted as two, and bytes moved by a copy, per second."""
    one, other = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    source = torch.empty(64 * size * size, device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    works = {"product": lambda: one @ other, "copy": lambda: target.copy_(source)}
    seconds = medians(interleaved({k: waited(w, device) for k, w in works.items()}, clock=WALL, warm_up=3))
    return {"product": 2 * size**3 / seconds["product"], "copy": 2 * source.nbytes / seconds["copy"]}


def floor_seconds(samples: Samples, dim: int, rate: Mapping[str, float]) -> float:
    """Seconds of the projection, forward and weight gradient, at the measured rates."""
    products = 2 * 2 * samples.rows.numel() * dim / rate["product"]
    return max(products, 2 * samples.rows.nbytes / rate["copy"])


def launches(work: Work, device: torch.device) -> int | None:
    """Kernels, copies and fills that one step launches on a GPU."""
    if device.type != "cuda":
        return None
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        waited(work, device)()
    return sum(event.device_type == DeviceType.CUDA for event in seen.events())


def measure(sizes: Sizes, device: torch.device, square: int) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Steps of every way to read bags, and the lines of their table."""
    ((count, num),) = sizes.bags
    samples = bags([num] * count, sizes.width)
    samples = replace(samples, rows=samples.rows.bfloat16()).to(device)
    rate = rates(device, square)
    floor = floor_seconds(samples, sizes.dim, rate)
    made: dict[str, Callable[[], Any]] = {"floor": floor_of(samples.rows, sizes.dim)}
    for make in (co_attention, latent_attention, gated_attention):
        torch.manual_seed(0)
        reader: Reader = make(sizes, count)
        questions = None if reader.questions is None else reader.questions.to(device)
        made[reader.name] = step(reader.ours.to(device), partial(reader.packed, samples, questions), bf16=True)
    works = {name: waited(work, device) for name, work in made.items()}
    seconds = interleaved(works, clock=WALL, warm_up=3)
    results: dict[str, Any] = {"device": str(device), "rates": rate, "floor_seconds": floor, "steps": {}}
    if device.type == "cuda":
        results["device"] = torch.cuda.get_device_name(device)
    rows = []
    for name, took in medians(seconds).items():
        number = launches(works[name], device)
        share = floor / took
        results["steps"][name] = {"seconds": seconds[name], "share": share, "launches": number}
        rows.append(
            {
                "step": "the two products alone" if name == "floor" else name,
                "median, ms": f"{1e3 * took:.2f}",
                f"share of the floor's rate (goal {GOAL_SHARE:g})": f"{share:.2f}",
                f"launches (goal {GOAL_LAUNCHES})": "-" if number is None else str(number),
            }
        )
    return results, rows


def main(words: Sequence[str]) -> int:
    """Measure, print the table, and write JSON where `out=FILE` is given."""
    if torch.cuda.is_available():
        results, rows = measure(FULL, torch.device("cuda"), square=8192)
    else:
        print("No CUDA device here: a tiny version on the CPU, to show that it runs. Its figures say nothing of a GPU.")
        results, rows = measure(TINY, torch.device("cpu"), square=64)
    rate = results["rates"]
    print(
        f"{results['device']}: products {rate['product'] / 1e12:.3g} TFLOP/s in bf16, copies {rate['copy'] / 1e12:.3g} "
        f"TB/s, floor {1e3 * results['floor_seconds']:.3g} ms\n{markdown(rows)}"
    )
    save(results, words)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
