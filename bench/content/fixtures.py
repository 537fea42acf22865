"""The sites that are synced: files that no two runs make differently, with a PULP_MANIFEST."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib


@dataclasses.dataclass(frozen=True)
class Site:
    """A generated site with two states, `v1` and `v2`, in which every tenth file is another."""

    name: str
    files: int
    size: int
    directory: pathlib.Path

    @property
    def bytes(self) -> int:
        return self.files * self.size

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.entries()]

    def entries(self) -> list[tuple[str, str, int]]:
        """Path, SHA-256 and size of each file of `v1`."""
        lines = (self.directory / "v1" / "PULP_MANIFEST").read_text().splitlines()
        fields = (line.rsplit(",", 2) for line in lines)
        return [(path, digest, int(size)) for path, digest, size in fields]


def make(parent: pathlib.Path, files: int, size: int) -> Site:
    """Makes a site below `parent` unless it is there already."""
    name = f"{files}x{size}"
    site = Site(name, files, size, parent / name)
    if (site.directory / "v2" / "PULP_MANIFEST").exists():
        return site
    manifests: dict[str, list[str]] = {"v1": [], "v2": []}
    for number in range(files):
        path = f"{number // 1000:03}/{number:06}.bin"
        first = offer(site, "v1", path, f"{name} {number} first", manifests)
        if number % 10 == 0:
            offer(site, "v2", path, f"{name} {number} second", manifests)
            continue
        # What stays is the same file, so it takes no space again.
        second = site.directory / "v2" / path
        second.parent.mkdir(parents=True, exist_ok=True)
        second.unlink(missing_ok=True)
        os.link(first, second)
        manifests["v2"].append(manifests["v1"][-1])
    for version, lines in manifests.items():
        (site.directory / version / "PULP_MANIFEST").write_text("".join(lines))
    return site


def offer(site: Site, version: str, path: str, seed: str, manifests: dict[str, list[str]]) -> pathlib.Path:
    # An extendable function makes bytes that do not compress, as many as are wanted, faster than a disk takes them.
    content = hashlib.shake_128(seed.encode()).digest(site.size)
    file = site.directory / version / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    manifests[version].append(f"{path},{hashlib.sha256(content).hexdigest()},{site.size}\n")
    return file
