"""One controller for the whole run, one model for each test module."""

from __future__ import annotations

import functools
import os
import pathlib
import subprocess
from collections.abc import Callable, Iterator

import jubilant
import pytest

from charms import Charm

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="session", autouse=True)
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """A controller in a scratch directory; the first command starts it, as for any user."""
    data = tmp_path_factory.mktemp("tutti")
    os.environ["TUTTI_DATA"] = str(data)
    os.environ["JUJU_DATA"] = str(data / "client")
    for name in ("TUTTI_CONTROLLER", "JUJU_MODEL", "JUJU_CONTROLLER"):
        os.environ.pop(name, None)
    yield data
    subprocess.run(["tutti", "stop"], check=False, capture_output=True)


@pytest.fixture(scope="module")
def juju(request: pytest.FixtureRequest) -> Iterator[jubilant.Juju]:
    """A machine-like model that goes with the module."""
    with jubilant.temp_model() as juju:
        configure(juju)
        yield juju
        if request.session.testsfailed:
            print(juju.debug_log(limit=1000))


@pytest.fixture(params=["localhost", "local-k8s"])
def either(request: pytest.FixtureRequest) -> Iterator[jubilant.Juju]:
    """A model of each kind, for one test."""
    with jubilant.temp_model(cloud=request.param) as juju:
        configure(juju)
        yield juju


def configure(juju: jubilant.Juju):
    """Waits look often: what takes long here is jubilant's pause between two looks."""
    juju.wait_timeout = 60
    juju.wait = functools.partial(juju.wait, delay=0.1)


@pytest.fixture
def charm(tmp_path: pathlib.Path) -> Callable[..., Charm]:
    """Writes a bash charm: `charm("name", hooks={"install": "status-set active"})`."""

    def write(name: str, **parts) -> Charm:
        return Charm(tmp_path / f"charm-{name}", name, **parts)

    return write


@pytest.fixture
def tutti() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `tutti` and answers its exit code, stdout and stderr."""

    def run(*arguments: str, check: bool = True, **options) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["tutti", *arguments], capture_output=True, text=True, timeout=120, **options
        )
        if check and done.returncode != 0:
            raise AssertionError(f"tutti {' '.join(arguments)}: {done.returncode}\n{done.stderr}")
        return done

    return run
