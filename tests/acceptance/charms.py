"""Small bash charms, written by the tests that need them."""

from __future__ import annotations

import json
import pathlib
import stat
import zipfile

RECORD = """#!/bin/bash
echo "${JUJU_DISPATCH_PATH#hooks/} ${JUJU_REMOTE_UNIT:-}" | sed 's/ *$//' >> "@record@/${JUJU_UNIT_NAME//\\//-}"
hook="$JUJU_CHARM_DIR/on/$(basename "$JUJU_DISPATCH_PATH")"
if [ -x "$hook" ]; then exec "$hook"; fi
"""


class Charm(str):
    """A charm directory, as its path. Its `dispatch` records every event, then runs `on/<event>` if there.

    `hooks` maps an event or action name to a bash body; `metadata`, `config` and `actions` are what
    the YAML files say beyond the name.
    """

    def __new__(cls, directory: pathlib.Path, *_, **__) -> Charm:
        return super().__new__(cls, directory)

    def __init__(
        self,
        directory: pathlib.Path,
        name: str,
        *,
        hooks: dict[str, str] | None = None,
        metadata: dict | None = None,
        config: dict | None = None,
        actions: dict | None = None,
        files: dict[str, str] | None = None,
    ):
        self.directory = directory
        self.record = directory.parent / f"record-{directory.name}"
        self.record.mkdir(parents=True, exist_ok=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.write("metadata.yaml", {"name": name, "summary": name, **(metadata or {})})
        if config:
            self.write("config.yaml", {"options": config})
        if actions:
            self.write("actions.yaml", actions)
        self.script("dispatch", RECORD.replace("@record@", str(self.record)))
        for hook, body in (hooks or {}).items():
            self.hook(hook, body)
        for path, text in (files or {}).items():
            self.write(path, text)

    def write(self, path: str, content: dict | str):
        """JSON is YAML."""
        target = self.directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content if isinstance(content, str) else json.dumps(content))

    def script(self, path: str, text: str):
        self.write(path, text)
        target = self.directory / path
        target.chmod(target.stat().st_mode | stat.S_IXUSR)

    def hook(self, name: str, body: str):
        self.script(f"on/{name}", f"#!/bin/bash\nset -eu\n{body}\n")

    def events(self, unit: str) -> list[str]:
        """What the unit's charm has been run for, oldest first."""
        record = self.record / unit.replace("/", "-")
        return record.read_text().splitlines() if record.exists() else []

    def archive(self, path: pathlib.Path) -> pathlib.Path:
        """The charm as a `.charm` file."""
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(self.directory.rglob("*")):
                archive.write(file, file.relative_to(self.directory))
        return path
