"""The store of packed bags: the numbers of the files, whoever was killed and whatever was changed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from tiny import write_tiny_cohort

import fusion.data.store
from fusion.data.bags import read_bag
from fusion.data.modalities.bag_table import BagTable
from fusion.data.modalities.histology import Histology
from fusion.data.pack import PackedBags, PackError, write_pack
from fusion.data.precision import STORED, narrowed, widened
from fusion.data.read import read_cohort
from fusion.data.store import BagStore, memory_limits, open_store, room_for_rows

Said = list[str]


def write_bag(folder: Path, sample: str, features: np.ndarray, *, places: bool = True) -> Path:
    folder.mkdir(exist_ok=True)
    with h5py.File(folder / f"{sample}.h5", "w") as file:
        file["features"] = features.astype(np.float32)
        if places:
            file["coords"] = np.arange(2 * len(features)).reshape(-1, 2)
    return folder / f"{sample}.h5"


@pytest.fixture
def bags(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number, size in enumerate((5, 0, 9, 1)):
        write_bag(tmp_path / "histology", f"s{number}", rng.normal(size=(size, 3)), places=number != 2)
    return tmp_path / "histology"


@pytest.fixture
def said() -> Said:
    return []


@pytest.fixture
def store(tmp_path: Path, said: Said) -> BagStore:
    return BagStore(tmp_path / "cache" / "deep", said.append)


def opened(store: BagStore, bags: Path, precision: str = "fp16") -> PackedBags:
    pack = store.open(bags, precision)
    assert pack is not None
    return pack


def packs(store: BagStore) -> list[Path]:
    return sorted(store.folder.glob("*.safetensors"))


def refuse_to_read(path: Path) -> None:
    raise AssertionError(f"{path} was read")


def assert_as_read(pack: PackedBags, bags: Path, precision: str = "fp16") -> None:
    for sample in pack.sample_ids:
        plain = read_bag(bags / f"{sample}.h5")
        np.testing.assert_array_equal(pack.features(sample), widened(narrowed(plain.features, precision)))
        np.testing.assert_equal(pack.coords(sample), plain.coords)
        assert pack.num_patches(sample) == len(plain.features)


@pytest.mark.parametrize("precision", list(STORED))
def test_a_pack_holds_what_the_files_hold(bags: Path, store: BagStore, precision: str) -> None:
    pack = opened(store, bags, precision)
    assert pack.sample_ids == ("s0", "s1", "s2", "s3")
    assert_as_read(pack, bags, precision)
    rows = np.array([7, 0, 7])
    np.testing.assert_array_equal(pack.features("s2", rows), pack.features("s2")[rows])
    plain = read_bag(bags / "s2.h5").features
    np.testing.assert_allclose(pack.features("s2"), plain, rtol={"fp16": 1e-3, "bf16": 8e-3, "fp32": 0}[precision])
    with safe_open(pack.path, "numpy") as file:  # others can open it too
        assert tuple(file.get_slice("features").get_shape()) == (15, 3)


def test_bags_are_read_once_ever(
    bags: Path, store: BagStore, said: Said, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert store.known(bags) is None
    opened(store, bags)
    assert len(said) == 1
    assert said[0].startswith("histology: 4 bags packed into")
    monkeypatch.setattr("fusion.data.pack.read_bag", refuse_to_read)
    copied = tmp_path / "elsewhere"
    copied.mkdir()
    for path in bags.iterdir():
        (copied / path.name).write_bytes(path.read_bytes())
    for folder in (bags, copied):  # a copy has other inodes and times, and the same content
        opened(store, folder)
        assert store.known(folder) is not None
    monkeypatch.setattr("fusion.data.store._content_key", lambda *_: pytest.fail("hashed again"))
    assert_as_read(opened(store, copied), bags)
    assert len(said) == len(packs(store)) == 1


def test_a_changed_source_gives_a_new_pack(bags: Path, store: BagStore) -> None:
    before = opened(store, bags)
    path = bags / "s0.h5"
    stat, content = path.stat(), path.read_bytes()
    features = before.features("s0").astype(np.float32)
    write_bag(bags, "s0", features + 1)
    assert path.stat().st_size == stat.st_size
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # size and time as before: the inode's own time tells
    assert store.known(bags) is None
    after = opened(store, bags)
    np.testing.assert_allclose(after.features("s0"), features + 1, rtol=1e-3)
    assert after.path != before.path
    path.write_bytes(content)
    assert opened(store, bags).path == before.path
    write_bag(bags, "s9", features)
    assert "s9" in opened(store, bags)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[:-9],
    "empty": lambda content: b"",
    "header alone": lambda content: content[:40],
    "a bit of a feature": lambda content: content[:4100] + bytes([content[4100] ^ 1]) + content[4101:],
    "a bit of the last offset": lambda content: content[:-8] + bytes([content[-8] ^ 1]) + content[-7:],
    "rubbish": lambda content: b"\xff" * len(content),
    "longer": lambda content: content + b"\0" * 8,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=list(DAMAGE))
def test_a_damaged_pack_is_noticed_and_made_again(
    bags: Path, store: BagStore, said: Said, damage: Callable[[bytes], bytes]
) -> None:
    path = opened(store, bags).path
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert store.known(bags) is None
    assert_as_read(opened(store, bags), bags)
    assert path.read_bytes() == whole
    assert len(said) == 2


def test_a_pack_that_was_touched_is_read_through_once_and_kept(bags: Path, store: BagStore, said: Said) -> None:
    path = opened(store, bags).path
    path.touch()
    assert store.known(bags) is None
    opened(store, bags)
    assert store.known(bags) is not None
    assert len(said) == 1


def test_a_lost_pack_or_a_note_of_rubbish_is_made_again(bags: Path, store: BagStore) -> None:
    opened(store, bags).path.unlink()
    assert_as_read(opened(store, bags), bags)
    for note in store.folder.glob("*.json"):
        note.write_text(json.dumps({"key": 3}))
    assert_as_read(opened(store, bags), bags)


SCRIPT = """
import os, signal, sys, time
from pathlib import Path
import fusion.data.pack as pack
from fusion.data.store import BagStore
bags, folder, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
read = pack.read_bag
def slowly(path):
    if what == "die" and path.stem == "s2":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.1)
    return read(path)
pack.read_bag = slowly
found = BagStore(folder, print).open(bags, "fp16")
print("sum", sum(float(found.features(s).sum()) for s in found.sample_ids))
"""


def child(store: BagStore, bags: Path, what: str) -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", SCRIPT, str(bags), str(store.folder), what]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def test_what_a_killed_writer_leaves_is_never_taken_for_a_pack(bags: Path, store: BagStore) -> None:
    killed = child(store, bags, "die")
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(store.folder.glob("*.part"))) == 1
    assert not packs(store)
    assert store.known(bags) is None
    assert_as_read(opened(store, bags), bags)
    assert not list(store.folder.glob("*.part"))


def test_of_two_writers_at_once_one_packs_and_both_read(bags: Path, store: BagStore) -> None:
    writers = [child(store, bags, "live") for _ in range(2)]
    told = [writer.communicate(timeout=60)[0].splitlines() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert sum("bags packed into" in line for lines in told for line in lines) == 1
    assert told[0][-1] == told[1][-1]
    assert len(packs(store)) == 1


def test_a_file_system_without_locks_is_no_obstacle(
    bags: Path, store: BagStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr("fusion.data.store.FileLock.acquire", none)
    assert_as_read(opened(store, bags), bags)


@pytest.mark.parametrize("obstacle", ["a file in the way", "a full disk", "a source that changes", "another width"])
def test_without_a_pack_bags_are_read_where_they_lie(
    bags: Path, store: BagStore, said: Said, obstacle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if obstacle == "a file in the way":  # as root, tests may write to any folder
        store.folder.parent.write_text("")
    elif obstacle == "a full disk":
        monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    elif obstacle == "a source that changes":

        def meddling(path: Path) -> object:
            if path.stem == "s3":
                write_bag(bags, "s0", np.ones((2, 3)))
            return read_bag(path)

        monkeypatch.setattr("fusion.data.pack.read_bag", meddling)
    else:
        write_bag(bags, "s3", np.ones((2, 4)))
    table = BagTable(bags, None, "fp16", store)
    assert table.packed is None
    assert len(said) == 1
    assert said[0].startswith("histology: bags are read where they lie")
    np.testing.assert_array_equal(table.bag("s2"), read_bag(bags / "s2.h5").features.astype(np.float16))
    assert not list(store.folder.glob("*.part"))
    assert store.known(bags) is None


def test_values_beyond_half_precision_turn_the_pack_to_single(bags: Path, store: BagStore, said: Said) -> None:
    write_bag(bags, "s2", np.array([[1e5, 0.1, -1.0]]))
    pack = opened(store, bags)
    assert any("beyond fp16, so that all are kept in fp32" in line for line in said)
    assert_as_read(pack, bags)
    np.testing.assert_array_equal(pack.features("s2"), np.float32([[1e5, 0.1, -1.0]]))
    write_bag(bags, "s2", np.array([[np.inf, 0.1, -1.0]]))  # not measured: no reason to keep more
    np.testing.assert_array_equal(opened(store, bags).features("s2"), np.float16([[6e4, 0.1, -1.0]]))


@settings(max_examples=30)
@given(
    sizes=st.lists(st.integers(0, 6), min_size=1, max_size=8),
    width=st.integers(1, 5),
    precision=st.sampled_from(list(STORED)),
)
def test_offsets_lead_back_to_every_bag(
    sizes: list[int], width: int, precision: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("offsets")
    rng = np.random.default_rng(sum(sizes))
    written = {f"b{i:02d}": rng.normal(size=(size, width)).astype(np.float32) for i, size in enumerate(sizes)}
    for sample, features in written.items():
        np.save(folder / f"{sample}.npy", features)
    sources = [folder / f"{sample}.npy" for sample in written]
    path = folder / "pack.safetensors"
    write_pack(path, sources, precision, key="k")
    pack = PackedBags(path, key="k", sample_ids=list(written), check_all=True)
    for sample, features in written.items():
        np.testing.assert_array_equal(pack.features(sample), widened(narrowed(features, precision)))
        assert pack.coords(sample) is None or not len(features)
    with pytest.raises(PackError):
        PackedBags(path, key="other", sample_ids=list(written), check_all=False)


@pytest.mark.parametrize("settings", [{}, {"precision": "bf16"}, {"precision": "fp32"}, {"max_patches": 7}])
def test_histology_is_the_same_to_the_bit_with_a_store_and_without(
    tmp_path: Path, store: BagStore, settings: dict[str, object]
) -> None:
    folder = write_tiny_cohort(tmp_path / "cohort", patients=6)
    plain, packed = read_cohort(folder), read_cohort(folder, store=store)
    found = []
    for cohort in (plain, packed):
        modality = Histology(coordinates=True, components=2, **settings)
        table, ids = modality.load(cohort), modality.sample_ids(cohort)
        assert (table.packed is None) == (cohort is plain)
        modality.fit(table, ids[:4])
        found.append((modality.transform(table, ids), modality.summarise(table, ids), modality.state()))
    (rows, summary, state), (rows_2, summary_2, state_2) = found
    np.testing.assert_array_equal(rows.rows, rows_2.rows)
    np.testing.assert_array_equal(rows.offsets, rows_2.offsets)
    np.testing.assert_array_equal(summary, summary_2)
    assert all(np.array_equal(state.arrays[name], state_2.arrays[name]) for name in state.arrays)


def test_precision_changes_rows_by_its_rounding_alone(tmp_path: Path) -> None:
    cohort = read_cohort(write_tiny_cohort(tmp_path / "cohort", patients=6))
    rows = {}
    for precision in STORED:
        modality = Histology(precision=precision)
        table, ids = modality.load(cohort), modality.sample_ids(cohort)
        modality.fit(table, ids)
        rows[precision] = modality.transform(table, ids).rows
    np.testing.assert_allclose(rows["fp16"], rows["fp32"], atol=4e-3)
    np.testing.assert_allclose(rows["bf16"], rows["fp32"], atol=3e-2)
    with pytest.raises(ValueError, match="choose fp16, bf16, fp32"):
        Histology(precision="fp8")


def test_a_packed_cohort_is_read_without_touching_its_bags(
    tmp_path: Path, store: BagStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_tiny_cohort(tmp_path / "cohort", patients=6)
    Histology().load(read_cohort(folder, store=store))
    for name in ("bag_shape", "sample_rows"):
        monkeypatch.setattr(f"fusion.data.assays.{name}", refuse_to_read)
    cohort = read_cohort(folder, store=store)
    Histology().load(cohort)
    monkeypatch.undo()
    assert cohort.samples.equals(read_cohort(folder).samples)


def test_where_the_store_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def folder(setting: str | None) -> Path | None:
        found = open_store(setting, print)
        return None if found is None else found.folder

    monkeypatch.delenv("FUSION_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folder("auto") == tmp_path / "fusion-oncology"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert folder("auto") == Path("~/.cache/fusion-oncology").expanduser()
    monkeypatch.setenv("FUSION_STORE", str(tmp_path / "mine"))
    assert folder("auto") == tmp_path / "mine"
    monkeypatch.setenv("FUSION_STORE", "")
    assert folder("auto") is folder(None) is None
    assert folder("~/x") == Path("~/x").expanduser()


def test_rows_that_do_not_fit_lie_in_a_file_without_a_name(store: BagStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert room_for_rows(3, 2, store).base is None
    monkeypatch.setattr(fusion.data.store, "SHARE_OF_MEMORY", 0.0)
    rows = room_for_rows(3, 2, store)
    assert rows.base is not None
    rows[:] = 7
    assert rows.sum() == 42
    assert not list(store.folder.iterdir())
    assert room_for_rows(0, 2, store).shape == (0, 2)
    assert room_for_rows(3, 2, None).base is None


@pytest.mark.parametrize(
    ("groups", "limits", "expected"),
    [
        ("0::/slurm/job_7/step_0", {"slurm/job_7/memory.max": "8000", "slurm/memory.max": "max"}, [8000.0]),
        ("0::/job", {"job/memory.max": "500", "memory.max": "900"}, [500.0, 900.0]),
        ("0::/not/seen/from/here", {"memory.max": "900"}, [900.0]),
        ("4:cpu,cpuacct:/a\n9:memory:/job", {"memory/job/memory.limit_in_bytes": "700"}, [700.0]),
        ("4:cpu:/job", {"memory/job/memory.limit_in_bytes": "700"}, []),
        ("nonsense", {}, []),
    ],
)
def test_memory_is_what_a_batch_job_may_take(
    groups: str, limits: dict[str, str], expected: list[float], tmp_path: Path
) -> None:
    (tmp_path / "own").write_text(groups + "\n")
    for name, limit in limits.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(limit + "\n")
    assert memory_limits(tmp_path / "own", tmp_path / "root") == expected
    assert memory_limits(tmp_path / "none", tmp_path / "root") == []
