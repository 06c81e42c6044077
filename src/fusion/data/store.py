"""Where the packed bags of cohorts are kept: each folder of bags is packed once, by whichever process comes first.

Two files belong to a folder of bags. The pack, `<key>.safetensors`, is named by what is in the sources: their names and
a hash of their content, so that a copied cohort finds the pack of the first. To hash takes reading them, so a note,
`<fingerprint>.json`, leads from what a look at the folder tells (names, sizes, times, inodes) to the key. Where that
has changed, the sources are hashed again; where the content has changed, there is a new pack.
"""

import contextlib
import hashlib
import json
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from jaxtyping import Float32

from fusion.data.bags import BAG_SUFFIXES
from fusion.data.pack import VERSION, PackedBags, PackError, write_pack
from fusion.data.precision import STORED
from fusion.data.problems import CohortError

#: Environment variable that names the folder of packs; empty for none.
VARIABLE = "FUSION_STORE"

#: Rows of an assay that take more than this share of memory are laid into a file.
SHARE_OF_MEMORY = 0.25


def open_store(setting: str | None, say: Callable[[str], None]) -> "BagStore | None":
    """The store that a config asks for.

    Args:
        setting: A folder; None for none; `auto`: what the environment variable FUSION_STORE names, else the cache of
            the user (`$XDG_CACHE_HOME/fusion-oncology`, `~/.cache/fusion-oncology`). Not below the cohort: that is the
            user's, often shared, and often not to be written to.
        say: Told in one line what is packed, or why it cannot be.
    """
    if setting == "auto":
        setting = os.environ.get(VARIABLE)
        if setting is None:
            cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
            setting = f"{cache}/fusion-oncology"
    return BagStore(Path(setting).expanduser(), say) if setting else None


@dataclass(frozen=True)
class BagStore:
    """A folder of packs. Nothing that goes wrong with it stops a run: bags are then read where they lie."""

    folder: Path
    say: Callable[[str], None]

    def known(self, bags: Path) -> PackedBags | None:
        """The pack of a folder of bags in any precision, if it was made of these very files; nothing is made."""
        with contextlib.suppress(PackError, OSError):
            sources = bag_files(bags)
            for precision in STORED if sources else ():
                if (note := self._note(_fingerprint(sources, precision))) is not None:
                    return self._as_noted(sources, *note)
        return None

    def open(self, bags: Path, precision: str) -> PackedBags | None:
        """The pack of a folder of bags, made now if absent; None where there are no bags or it cannot be made."""
        try:
            sources = bag_files(bags)
            return self._opened(bags, sources, precision) if sources else None
        except CohortError as error:
            reason = str(error.problems[0])
        except (PackError, OSError) as error:
            reason = str(error)
        self.say(f"{bags.name}: bags are read where they lie, since they cannot be packed ({reason})")
        return None

    def _opened(self, bags: Path, sources: Sequence[Path], precision: str) -> PackedBags:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # features of patients: for their keeper alone
        seen = _fingerprint(sources, precision)
        note = self._note(seen)
        if note is not None:
            with contextlib.suppress(PackError, OSError):
                return self._as_noted(sources, *note)
        key = _content_key(sources, precision) if note is None else note[0]
        with self._alone(key):
            try:
                pack = self._mapped(sources, key, check_all=True)
            except PackError:
                pack = self._packed(bags, sources, precision, key, seen)
        self._write_note(seen, key)
        return pack

    def _as_noted(self, sources: Sequence[Path], key: str, stat: list[int]) -> PackedBags:
        """The pack of a note; refused where it was written to since, and must be read through before it is used."""
        if _stat(self._path(key)) != stat:
            raise PackError("a file that was written to")
        return self._mapped(sources, key, check_all=False)

    def _mapped(self, sources: Sequence[Path], key: str, *, check_all: bool) -> PackedBags:
        names = [source.stem for source in sources]
        return PackedBags(self._path(key), key=key, sample_ids=names, check_all=check_all)

    def _packed(self, bags: Path, sources: Sequence[Path], precision: str, key: str, seen: str) -> PackedBags:
        for left in self.folder.glob(f"{key}.*.part"):  # of a writer that was killed: whoever lives holds the lock
            left.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(dir=self.folder, prefix=f"{key}.", suffix=".part")
        os.close(handle)
        part, path = Path(name), self._path(key)
        try:
            stored = write_pack(part, sources, precision, key)
            if _fingerprint(sources, precision) != seen:
                raise PackError("files were written to while they were read")
            part.replace(path)
            _sync(self.folder)
        finally:
            part.unlink(missing_ok=True)
        if stored != precision:
            self.say(f"{bags.name}: values beyond {precision}, so that all are kept in {stored}")
        self.say(f"{bags.name}: {len(sources)} bags packed into {path} ({path.stat().st_size / 1e6:,.1f} MB)")
        return self._mapped(sources, key, check_all=False)

    @contextlib.contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Hold the lock of a pack, so that it is made once; without locks two are made, and either is whole."""
        lock = FileLock(self.folder / f"{key}.lock")
        try:
            try:
                lock.acquire(timeout=0)
            except Timeout:
                self.say(f"another process is packing the same bags; waiting for {lock.lock_file}")
                lock.acquire()
        except NotImplementedError:  # a file system that knows no locks
            pass
        try:
            yield
        finally:
            lock.release()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _note(self, fingerprint: str) -> tuple[str, list[int]] | None:
        """Key of the pack of these files, and what its own file looked like when it was whole."""
        try:
            told = json.loads((self.folder / f"{fingerprint}.json").read_text(encoding="utf-8"))
            return str(told["key"]), list(told["stat"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write_note(self, fingerprint: str, key: str) -> None:
        handle, name = tempfile.mkstemp(dir=self.folder, prefix=f"{fingerprint}.", suffix=".note")
        with open(handle, "w", encoding="utf-8") as file:
            json.dump({"key": key, "stat": _stat(self._path(key))}, file)
        Path(name).replace(self.folder / f"{fingerprint}.json")


def bag_files(folder: Path) -> list[Path]:
    """The bags of a folder, by name.

    Raises:
        PackError: A sample has two.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix in BAG_SUFFIXES) if folder.is_dir() else []
    paths = [path for path in paths if path.is_file()]
    if len({path.stem for path in paths}) < len(paths):
        raise PackError("two files for one sample")
    return paths


def _stat(path: Path) -> list[int]:
    """What changes when a file is written to. The inode's time cannot be set back, as that of the content can."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _fingerprint(sources: Sequence[Path], precision: str) -> str:
    return _digest([VERSION, precision, [[source.name, *_stat(source)] for source in sources]])


def _content_key(sources: Sequence[Path], precision: str) -> str:
    hashes = []
    for source in sources:
        with source.open("rb") as file:
            hashes.append([source.name, hashlib.file_digest(file, "sha256").hexdigest()])
    return _digest([VERSION, precision, hashes])


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _sync(folder: Path) -> None:
    """Write down that a file has its name now; not every system lets a folder be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def room_for_rows(num_rows: int, width: int, store: BagStore | None) -> Float32[np.ndarray, "R F"]:
    """Unset rows to be filled: in memory, or where they would take more than a quarter of it, in the folder of a store.

    The file has no name and is gone with the array. Its pages may leave memory whenever that is short, so that only
    what is being read takes room. Without a store, or without room on its disk, the rows are in memory as well.
    """
    size = 4 * num_rows * width
    if store is not None and size > SHARE_OF_MEMORY * _memory():
        with contextlib.suppress(OSError):
            store.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=store.folder) as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)  # a full disk is noticed now, not at the first write
                else:
                    file.truncate(size)
                return np.frombuffer(mmap.mmap(file.fileno(), size), np.float32).reshape(num_rows, width)
    return np.empty((num_rows, width), dtype=np.float32)


def _memory() -> float:
    """Bytes of memory of this machine, or of the part of it that a container or a batch job may take."""
    machine = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min([machine, *memory_limits(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))])


def memory_limits(own: Path, root: Path) -> list[float]:
    """Limits in bytes that control groups of Linux, of either version, set on a process; empty where there are none.

    A batch job is a group within others: each of them may have a limit. Seen from a container, the groups above it are
    not there.

    Args:
        own: The file that names the groups of the process, `/proc/self/cgroup`.
        root: Where they are mounted.
    """
    found: list[float] = []
    try:
        groups = [line.split(":", 2) for line in own.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return found
    for _, controllers, path in (group for group in groups if len(group) == 3):
        if controllers and "memory" not in controllers.split(","):
            continue
        base, name = (root / "memory", "memory.limit_in_bytes") if controllers else (root, "memory.max")
        folder = base / path.lstrip("/")
        for each in (folder, *(above for above in folder.parents if above.is_relative_to(base))):
            with contextlib.suppress(OSError, ValueError):  # no such thing there, or "max"
                found.append(float((each / name).read_text(encoding="ascii")))
    return found
