"""Prints what a lock file pins for this interpreter, one requirement on a line.

Usage: lock.py DIRECTORY LOCK-FILE EXTRAS GROUPS, the last two separated by commas.
"""

import os
import re
import sys

try:
    import tomllib
except ImportError:
    from pip._vendor import tomli as tomllib
try:
    from packaging.markers import Marker
    from packaging.requirements import Requirement
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
except ImportError:
    from pip._vendor.packaging.markers import Marker
    from pip._vendor.packaging.requirements import Requirement
    from pip._vendor.packaging.specifiers import InvalidSpecifier, SpecifierSet


def load(name):
    with open(os.path.join(directory, name), "rb") as file:
        return tomllib.load(file)


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def applies(marker):
    return not marker or Marker(marker).evaluate({"extra": ""})


def local(path):
    return "file://" + os.path.realpath(os.path.join(directory, path))


class Uv:
    """https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile"""

    def __init__(self):
        self.packages = load("uv.lock").get("package", [])

    def roots(self):
        for package in self.packages:
            source = package.get("source", {})
            if "." in (source.get("virtual"), source.get("editable"), source.get("directory")):
                yield from package.get("dependencies", [])
                for extra in extras:
                    yield from package.get("optional-dependencies", {}).get(extra, [])
                for group in groups:
                    yield from package.get("dev-dependencies", {}).get(group, [])

    def resolve(self, dependency):
        if not applies(dependency.get("marker")):
            return
        for package in self.packages:
            same = canonical(package["name"]) == canonical(dependency["name"])
            if same and dependency.get("version") in (None, package.get("version")):
                yield package, dependency.get("extra", [])
                return
        sys.exit("uv.lock does not contain %s" % dependency["name"])

    def needs(self, package, wanted):
        yield from package.get("dependencies", [])
        for extra in wanted:
            yield from package.get("optional-dependencies", {}).get(extra, [])

    def origin(self, package):
        source = package.get("source", {})
        if "git" in source:
            url, _, commit = source["git"].partition("#")
            return "git+%s@%s" % (url.partition("?")[0], commit)
        if "url" in source:
            return source["url"]
        for kind in ("directory", "editable", "path"):
            if kind in source:
                return local(source[kind])
        return None

    def hashes(self, package):
        files = list(package.get("wheels", []))
        if "sdist" in package:
            files.append(package["sdist"])
        return [file.get("hash") for file in files]


class Poetry:
    """https://python-poetry.org/docs/basic-usage/#committing-your-poetrylock-file-to-version-control"""

    def __init__(self):
        self.packages = load("poetry.lock").get("package", [])
        self.project = load("pyproject.toml")

    def roots(self):
        for text in self.project.get("project", {}).get("dependencies", []):
            yield self.parsed(text)
        poetry = self.project.get("tool", {}).get("poetry", {})
        tables = [poetry.get("dependencies", {})]
        for group in groups:
            tables.append(poetry.get("group", {}).get(group, {}).get("dependencies", {}))
        for table in tables:
            for name, constraint in table.items():
                if name != "python":
                    yield from self.written(name, constraint, optional=False)

    def parsed(self, text):
        requirement = Requirement(text)
        marker = str(requirement.marker) if requirement.marker else None
        return requirement.name, str(requirement.specifier), marker, sorted(requirement.extras)

    def written(self, name, constraint, optional):
        for one in constraint if isinstance(constraint, list) else [constraint]:
            one = {"version": one} if isinstance(one, str) else one
            if not one.get("optional", False) or optional:
                yield name, one.get("version", ""), one.get("markers"), one.get("extras", [])

    def resolve(self, dependency):
        name, constraint, marker, wanted = dependency
        if not applies(marker):
            return
        found = [one for one in self.packages if canonical(one["name"]) == canonical(name)]
        if len(found) > 1:
            fitting = [one for one in found if self.admits(constraint, one)]
            found = fitting or found
        if not found:
            sys.exit("poetry.lock does not contain %s" % name)
        yield found[0], wanted

    def admits(self, constraint, package):
        markers = package.get("markers")
        if isinstance(markers, dict):
            markers = markers.get("main")
        try:
            fits = package["version"] in SpecifierSet(constraint)
        except InvalidSpecifier:
            fits = True
        return fits and applies(markers)

    def needs(self, package, wanted):
        extras_of = package.get("extras", {})
        chosen = {
            canonical(self.parsed(re.sub(r"\((.*?)\)", r"\1", text))[0])
            for extra in wanted
            for text in extras_of.get(extra, [])
        }
        for name, constraint in package.get("dependencies", {}).items():
            yield from self.written(name, constraint, optional=canonical(name) in chosen)

    def origin(self, package):
        source = package.get("source", {})
        kind = source.get("type")
        if kind == "git":
            commit = source.get("resolved_reference") or source["reference"]
            return "git+%s@%s" % (source["url"], commit)
        if kind == "url":
            return source["url"]
        if kind in ("directory", "file"):
            return local(source["url"])
        return None

    def hashes(self, package):
        return [file.get("hash") for file in package.get("files", [])]


directory, lock_file = sys.argv[1:3]
extras, groups = ([one for one in text.split(",") if one] for text in sys.argv[3:5])
lock = Uv() if lock_file == "uv.lock" else Poetry()
pending = [one for root in lock.roots() for one in lock.resolve(root)]
seen, pinned = set(), {}
while pending:
    package, wanted = pending.pop()
    key = (canonical(package["name"]), package.get("version"), tuple(sorted(wanted)))
    if key in seen:
        continue
    seen.add(key)
    pinned[key[:2]] = package
    for need in lock.needs(package, wanted):
        pending.extend(lock.resolve(need))

lines, all_hashed = [], True
for (name, version), package in sorted(pinned.items(), key=lambda item: item[0][0]):
    origin = lock.origin(package)
    hashes = [one for one in lock.hashes(package) if one and origin is None]
    all_hashed = all_hashed and bool(hashes)
    text = "%s @ %s" % (name, origin) if origin else "%s==%s" % (name, version)
    lines.append((text, "".join(" --hash=%s" % one for one in sorted(set(hashes)))))
for text, hashes in lines:
    # An installer that sees one hash asks for all of them.
    print(text + (hashes if all_hashed else ""))
