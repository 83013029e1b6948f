"""Damaged files of every kind that ramnp reads back: each is read or refused, in little time and memory.

The files are read in child processes with a memory limit. A child prints a line before and after each file, so that the
parent knows which one hung, or killed it.
"""

import gzip
import hashlib
import io
import json
import os
import resource
import select
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from archives import cifar_members, npy, omniglot_members, png, write_tar, write_zip
from PIL import Image

from ramnp.backend import NUMPY
from ramnp.config import Config
from ramnp.data import arrays, cifar10, files, folder, mnist, omniglot
from ramnp.data.source import DataSet, Split
from ramnp.errors import RamnpError
from ramnp.files import read_json
from ramnp.reproduce.results import read_result
from ramnp.training import checkpoint, run
from ramnp.training.trainer import Trainer

MEMORY, SECONDS = 1 << 30, 10  # limits: bytes of a child's address space, seconds of a processor for a file
PATIENCE = 12 * SECONDS  # until the parent takes a child for one that waits for ever; cores may be busy
SHARE = 250  # files per child
CONFIG = Config(units=8, what_units=4, where_units=4, glimpse_units=8, glimpses=2, patch=4, batch_size=4)
RESULT = Path(__file__).parents[2] / "results" / "mnist-6-seed0.json"
SPLIT = Split(np.zeros((8, 12, 12, 1), np.uint8), np.arange(8) % 3)
DATA = DataSet("arrays", 3, SPLIT, SPLIT[:0], SPLIT)
# What is put in the place of a value in JSON.
VALUES: tuple[Any, ...] = (
    *(None, True, "", "x", [], {}, [1], {"a": 1}, -1, 0, 1, -5, 1.5, 1e308, 2**31, 2**63, 10**30, 10**400),
    *(float("nan"), float("inf"), 20_000, 999_999, [[[[[]]]]]),
)
# What is put in the place of a length: in zip, tar, npy, PNG and idx headers.
LENGTHS = (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 0xFFFE)


class Subject(NamedTuple):
    """A kind of file. `make` writes one into a folder, and `read` reads it."""

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    whole: bool = False  # its format has checksums: whatever is read must be the original


def digest(value: Any) -> str:
    """A short name for what was read."""
    hashed = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, np.ndarray):
            hashed.update(f"{value.dtype} {value.shape}".encode() + value.tobytes())
        elif isinstance(value, dict):
            for name in sorted(value, key=str):
                hashed.update(str(name).encode())
                add(value[name])
        elif isinstance(value, tuple | list):
            for each in value:
                add(each)
        elif hasattr(value, "images"):
            add((value.images, value.labels))
        else:
            hashed.update(repr(value).encode())

    add(value)
    return hashed.hexdigest()


# The kinds of files.


def make_checkpoint(place: Path) -> Path:
    best = {"epoch": 1, "validation_error": {"deterministic": 1.0, "stochastic": 2.0, "averaged": 3.0}}
    checkpoint.save(place / "best.npz", Trainer(CONFIG, (12, 12, 1), 3, NUMPY).checkpoint(2, best, 1.5))
    return place / "best.npz"


def read_checkpoint(path: Path) -> Any:
    saved = checkpoint.load(path)
    saved.model()
    return saved.parameters, saved.optimizer, saved.epoch, saved.best


def make_config(place: Path) -> Path:
    described = {"config": CONFIG.to_json(), "limit_batches": 3, "backend": "numpy", "earlier_machines": ["one", None]}
    (place / "config.json").write_text(json.dumps(described))
    return place / "config.json"


def make_metrics(place: Path) -> Path:
    lines = [{"epoch": epoch, "lr": 0.1, "loss": {"action": 1.0}, "reward": 0.5, "gradient_norm": {"total": 1.0},
              "validation_error": None, "images_per_second": 5.0, "seconds": 2.0} for epoch in (1, 2)]  # fmt: skip
    (place / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return place / "metrics.jsonl"


def make_result(place: Path) -> Path:
    return Path(shutil.copy(RESULT, place / "result.json"))


def make_cifar(place: Path) -> Path:
    cifar10.RECORDS = 3
    return write_tar(place / "a.tar.gz", cifar_members())


def make_tar(place: Path) -> Path:
    """The archive unpacked, so that a mutation meets the headers of its members; `read_tar` packs it."""
    make_cifar(place)
    (place / "a.tar").write_bytes(gzip.decompress((place / "a.tar.gz").read_bytes()))
    return place / "a.tar"


def read_tar(path: Path) -> Any:
    """Pack, with the checksums of the headers put right: damage that was made on purpose."""
    content = bytearray(path.read_bytes())
    for start in range(0, len(content) - 511, 512):
        if content[start + 257 : start + 262] == b"ustar":
            header = content[start : start + 512]
            header[148:156] = b" " * 8
            content[start + 148 : start + 156] = b"%06o\0 " % sum(header)
    packed = path.with_name("packed.tar.gz")
    packed.write_bytes(gzip.compress(bytes(content), 1))
    return cifar10.read_archive(packed)


def make_omniglot(place: Path) -> Path:
    return write_zip(place / "images_background.zip", omniglot_members(("Latin",), 1))


def read_omniglot(path: Path) -> Any:
    found = omniglot.find_drawings([path])
    omniglot.check_complete(set(found), path)
    return omniglot.read_drawings(found)


def make_arrays(place: Path) -> Path:
    rng = np.random.default_rng(0)
    np.savez(place / "a.npz", images=rng.integers(0, 256, (6, 5, 5), np.uint8), labels=np.arange(6) % 3)
    return place / "a.npz"


def make_npy(place: Path) -> Path:
    """The images alone, so that a mutation meets the header; `read_npy` packs them."""
    (place / "images.npy").write_bytes(npy(np.zeros((6, 5, 5), np.uint8)))
    return place / "images.npy"


def read_npy(path: Path) -> Any:
    members = {"images.npy": path.read_bytes(), "labels.npy": npy(np.arange(6) % 3)}
    return arrays.read_arrays(write_zip(path.with_name("packed.npz"), members))


def make_idx(place: Path) -> Path:
    (place / "idx").write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, 6, 5, 5) + bytes(150))
    return place / "idx"


def read_idx(path: Path) -> Any:
    return mnist.parse_idx(path.read_bytes(), 3, str(path))


def make_gzip(place: Path) -> Path:
    (place / "idx.gz").write_bytes(gzip.compress(make_idx(place).read_bytes(), mtime=0))
    return place / "idx.gz"


def read_gzip(path: Path) -> Any:
    return mnist.parse_idx(files.read_gzip(path, 166), 3, str(path))


def make_run(place: Path) -> Path:
    """A run of one epoch; a mutation meets its checkpoint, and `read_run` resumes it."""
    with run.Run(CONFIG, DATA, NUMPY, place / "whole", quiet=True) as training:
        training.start()
        training.fit(lambda line: True)
    return place / "whole" / "checkpoint.npz"


def read_run(path: Path) -> Any:
    copy = path.parents[1] / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(path.parent, copy)
    with run.Run(CONFIG, DATA, NUMPY, copy, quiet=True) as training:
        training.resume()
        resumed = training.snapshot()
    return resumed.parameters, resumed.optimizer, resumed.epoch


def image_maker(kind: str) -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        rng = np.random.default_rng(0)
        for label in ("a", "b"):
            (place / label).mkdir()
            (place / label / "1.png").write_bytes(png(rng.integers(0, 256, (9, 9, 3), np.uint8)))
        path = place / "b" / f"2.{kind.lower()}"
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save(path, format=kind)
        return path

    return make


def read_images(path: Path) -> Any:
    return folder.read_folder(path.parents[1])


SUBJECTS: dict[str, Subject] = {
    "checkpoint": Subject(make_checkpoint, read_checkpoint, whole=True),
    "run": Subject(make_run, read_run, whole=True),
    "config.json": Subject(make_config, lambda path: run.read_run_config(path.parent)),
    "metrics.jsonl": Subject(make_metrics, run.read_lines),
    "result": Subject(make_result, read_result),
    "configuration": Subject(make_config, read_json),
    "CIFAR-10": Subject(make_cifar, cifar10.read_archive, whole=True),
    "CIFAR-10 headers": Subject(make_tar, read_tar),
    "Omniglot": Subject(make_omniglot, read_omniglot, whole=True),
    "arrays": Subject(make_arrays, arrays.read_arrays, whole=True),
    "npy": Subject(make_npy, read_npy),
    "idx": Subject(make_idx, read_idx),
    "idx.gz": Subject(make_gzip, read_gzip, whole=True),
    **{kind: Subject(image_maker(kind), read_images) for kind in ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP")},
}


# The damage.


def damage_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Flip a bit, cut, insert, repeat, overwrite, or put in a length."""
    changed = bytearray(content)
    at = int(rng.integers(len(changed)))
    length = int(rng.integers(1, 65))
    how = int(rng.integers(7))
    if how == 0:
        changed[at] ^= 1 << int(rng.integers(8))
    elif how == 1:
        del changed[at:]
    elif how == 2:
        changed[at:at] = rng.bytes(length)
    elif how == 3:
        changed[at:at] = changed[at : at + 16 * length]
    elif how == 4:
        changed[at : at + length] = bytes([int(rng.choice([0, 255, 65]))]) * length
    elif how == 5:
        del changed[at : at + length]
    else:
        order = str(rng.choice(["<I", ">I", "<Q", ">Q"]))
        changed[at : at + struct.calcsize(order)] = struct.pack(order, int(rng.choice(LENGTHS)))
    return bytes(changed)


def damage_json(value: Any, rng: np.random.Generator) -> Any:
    """Replace, remove or add a value somewhere."""
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    if not inner or rng.random() < 0.15:
        return VALUES[int(rng.integers(len(VALUES)))]
    name, old = inner[int(rng.integers(len(inner)))]
    changed = value.copy()
    if rng.random() < 0.1:
        del changed[name]
    else:
        changed[name] = damage_json(old, rng)
    return changed


def damage_text(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage JSON, line by line, in its values; now and then nest it, or make it long."""
    if rng.random() < 0.05:
        return bytes(rng.choice([b"[" * 50_000, b'{"config":' * 50_000, b"9" * 50_000, b"\xff\xfe", b""]))
    lines = content.splitlines() if content.count(b"\n{") else [content]
    at = int(rng.integers(len(lines)))
    lines[at] = json.dumps(damage_json(json.loads(lines[at]), rng)).encode()
    return b"\n".join(lines)


def damage_members(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage inside a zip archive, which is then packed again, so that its checksums are right."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = str(rng.choice(sorted(members)))
    how = rng.random()
    if name == "meta.npy" or ("meta.npy" in members and how < 0.5):
        described = json.loads(np.load(io.BytesIO(members["meta.npy"])).tobytes())
        described = damage_json(described, rng)
        members["meta.npy"] = npy(np.frombuffer(json.dumps(described).encode(), np.uint8))
    elif how < 0.6:
        members[name] += bytes(int(rng.integers(1, 100)) << 20)  # zeros: a bomb
    elif how < 0.7:
        del members[name]
    elif members[name]:
        members[name] = damage_bytes(members[name], rng)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED if rng.random() < 0.5 else zipfile.ZIP_STORED) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return packed.getvalue()


def damage_tar(content: bytes, rng: np.random.Generator) -> bytes:
    """Let a member of a tar archive claim another size, or be of another type."""
    changed = bytearray(content)
    starts = [start for start in range(0, len(changed), 512) if changed[start + 257 : start + 262] == b"ustar"]
    start = int(rng.choice(starts))
    if rng.random() < 0.6:
        info = tarfile.TarInfo("x")
        info.size = int(rng.choice([0, 1, 512, 2**33, 2**40, 2**60, 10**6, 10**9]))
        changed[start + 124 : start + 136] = info.tobuf(tarfile.GNU_FORMAT)[124:136]
    else:
        changed[start + 156] = int(rng.choice(list(b"01234567LKxgSDV")))
    return bytes(changed)


def damaged(name: str, content: bytes, rng: np.random.Generator) -> tuple[bytes, bool]:
    """A damaged file, and whether it was damaged below its checksums."""
    if name in ("config.json", "metrics.jsonl", "result", "configuration") and rng.random() < 0.7:
        return damage_text(content, rng), False
    if name in ("checkpoint", "run", "Omniglot", "arrays") and rng.random() < 0.6:
        return damage_members(content, rng), False
    if name == "CIFAR-10 headers" and rng.random() < 0.8:
        return damage_tar(content, rng), False
    return damage_bytes(content, rng), True


def child(seed: int, start: int, stop: int) -> None:
    """Read the damaged files with the numbers from `start` on. One line before each, and one after."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    names = list(SUBJECTS)
    with tempfile.TemporaryDirectory() as place:
        originals: dict[str, tuple[Path, bytes, str]] = {}
        for number in range(start, stop):
            name = names[number % len(names)]
            subject = SUBJECTS[name]
            if name not in originals:
                (Path(place) / name).mkdir()
                path = subject.make(Path(place) / name)
                originals[name] = path, path.read_bytes(), digest(subject.read(path))
            path, content, right = originals[name]
            changed, below = damaged(name, content, np.random.default_rng([seed, number]))
            path.write_bytes(changed)
            print(json.dumps([number, name, "started"]), flush=True)
            began = time.process_time()
            try:
                outcome = "read" if digest(subject.read(path)) == right else "other"
                if outcome == "other" and subject.whole and below:
                    outcome = "WRONG: read as something else"
            except RamnpError as error:
                outcome = "refused" if "\n" not in str(error) else f"WRONG: more than a line: {error}"
            except BaseException as error:
                outcome = f"WRONG: {type(error).__name__}: {error}"
            if (seconds := time.process_time() - began) > SECONDS:
                outcome = f"WRONG: it took {seconds:.0f} s"
            print(json.dumps([number, name, outcome[:300]]), flush=True)
    print(json.dumps([stop, "", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]), flush=True)


# The parent.


@dataclass
class Mutations:
    """What became of the damaged files."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)  # by kind of file, and by outcome
    wrong: list[str] = field(default_factory=list)
    memory: int = 0  # largest resident size of a child, in bytes

    def add(self, number: int, name: str, outcome: str) -> None:
        kind = outcome.split(":")[0]
        of_name = self.counts.setdefault(name, {})
        of_name[kind] = of_name.get(kind, 0) + 1
        if kind == "WRONG":
            self.wrong.append(f"mutation {number} ({name}): {outcome}")


def mutate(count: int, seed: int) -> Mutations:
    """Read `count` damaged files in child processes."""
    found, start = Mutations(), 0
    while start < count:
        start = watch(found, seed, start, min(start + SHARE, count))
    return found


def watch(found: Mutations, seed: int, start: int, stop: int) -> int:
    """Watch one child; return where the next one starts."""
    argv = [sys.executable, "-m", "tests.faults", "--child", str(seed), str(start), str(stop)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        at, name = start, "the start of the child"
        while True:
            ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
            line = process.stdout.readline() if ready else b""
            if not line:
                process.kill()
                ended = f"the child ended with {process.wait()}"
                found.add(at, name, f"WRONG: {ended if ready else f'nothing for {PATIENCE} seconds'}")
                return at + 1
            at, name, outcome = json.loads(line)
            if not name:
                found.memory = max(found.memory, outcome << 10)
                return stop
            if outcome != "started":
                found.add(at, name, outcome)
