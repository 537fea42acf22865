"""The processes under measurement: PostgreSQL, nginx, Pulp and Tutti, each started here and ended by its id."""

from __future__ import annotations

import base64
import contextlib
import getpass
import glob
import http.client
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time

PULP = ["pulpcore==3.123.1"]  # With pulp-file, which is part of it.


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Service:
    """A process with a log. `with` ends it."""

    def __init__(self, name: str, command: list, logs: pathlib.Path, **options):
        self.name = name
        self.log = logs / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_until(self, is_ready, seconds: float = 120):
        end = time.monotonic() + seconds
        while not is_ready():
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit(f"{self.name} does not start: {self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def is_open(port: int):
    def ask() -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", port)) == 0
    return ask


class Postgres(Service):
    """A cluster of its own with the settings it comes with, made anew and removed."""

    def __init__(self, scratch: pathlib.Path, logs: pathlib.Path):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
        program = found[-1] if found else shutil.which("postgres")
        if program is None:
            sys.exit("PostgreSQL is not installed")
        self.directory = scratch / "postgresql"
        self.port = free_port()
        remove(self.directory)
        self.directory.mkdir()
        # PostgreSQL refuses to run as root.
        other = {}
        if getpass.getuser() == "root":
            shutil.chown(self.directory, "postgres", "postgres")
            other = {"user": "postgres", "group": "postgres", "extra_groups": []}
        subprocess.run(
            [pathlib.Path(program).with_name("initdb"), "--auth=trust", "--username=tutti", "--encoding=UTF8",
             "--locale=C.UTF-8", "--pgdata", self.directory / "data"],
            check=True, stdout=subprocess.DEVNULL, cwd=self.directory, **other)
        super().__init__("postgresql", [
            program, "-D", self.directory / "data", "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
            "-c", "unix_socket_directories=", "-c", "max_connections=200"], logs, cwd=self.directory, **other)
        self.wait_until(lambda: self.sql("SELECT 1", check=False) == "1")

    def url(self, database: str) -> str:
        return f"postgres://tutti@127.0.0.1:{self.port}/{database}"

    def sql(self, text: str, database: str = "postgres", check: bool = True, feed: str | None = None) -> str:
        done = subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", text, self.url(database)],
                              text=True, capture_output=True, check=False, input=feed)
        if check and done.returncode:
            sys.exit(f"{text[:200]}: {done.stderr}")
        return done.stdout.strip()

    def database(self, name: str) -> str:
        self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)  # Ends the sessions, too.
        self.process.wait(60)
        remove(self.directory)


class Nginx(Service):
    """Serves a directory."""

    def __init__(self, root: pathlib.Path, scratch: pathlib.Path, logs: pathlib.Path):
        self.port = free_port()
        run = scratch / "nginx"
        run.mkdir(exist_ok=True)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = " ".join(f"{kind}_temp_path {run}/{kind};" for kind in kinds)
        user = "user root;" if getpass.getuser() == "root" else ""
        (run / "nginx.conf").write_text(
            f"{user} worker_processes 1; daemon off; pid {run}/pid; error_log {run}/error.log warn;\n"
            "events { worker_connections 1024; }\n"
            f"http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 10000000; {paths}\n"
            "default_type application/octet-stream;\n"
            f"server {{ listen 127.0.0.1:{self.port} backlog=1024; root {root}; }} }}\n")
        super().__init__("nginx", [program("nginx"), "-p", run, "-c", run / "nginx.conf"], logs)
        self.wait_until(is_open(self.port))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        sys.exit(f"{name} is not installed (`apt install {name}`)")
    return found


class Tutti:
    """`tutti serve` with new data, on SQLite or on PostgreSQL."""

    protection_s = 2 * 3600

    def __init__(self, tutti: pathlib.Path, scratch: pathlib.Path, logs: pathlib.Path, postgres: Postgres | None):
        self.name = "tutti-postgres" if postgres else "tutti-sqlite"
        self.data = scratch / self.name
        remove(self.data)
        self.data.mkdir()
        command = [tutti, "serve", "--data", self.data, "--listen", "127.0.0.1:0"]
        if postgres:
            command += ["--database", postgres.database("tutti")]
        environment = os.environ | {"JUJU_DATA": str(self.data / "client"), "TUTTI_LOG_LEVEL": "warn"}
        self.service = Service(self.name, command, logs, env=environment)
        self.service.wait_until(self.is_ready)
        self.postgres = postgres
        self.worker = self.content = self.service.pid
        self.database = postgres.pid if postgres else None

    def is_ready(self) -> bool:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError, KeyError):
            connection.sock.connect(str(self.data / "tutti.sock"))
            connection.request("GET", "/v1")
            self.api = self.content_app = f"http://{json.loads(connection.getresponse().read())['address']}"
            return True
        return False

    def analyze(self):
        """Has PostgreSQL look at its tables, as it would within a minute by itself."""
        if self.postgres:
            self.postgres.sql("ANALYZE", "tutti")

    def age(self):
        """Makes what is stored older than the hour for which files are left alone, as it would be in time.

        Pulp removes files at once if told to; so the same work is measured for both.
        """
        then = time.time() - self.protection_s
        for directory, _, files in os.walk(self.data / "artifacts"):
            for file in files:
                os.utime(pathlib.Path(directory) / file, (then, then))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.service.__exit__()
        remove(self.data)


class Pulp:
    """Pulp from PyPI with its defaults: one API server, one content app, one worker; no cache."""

    name = "pulp"

    def __init__(self, scratch: pathlib.Path, logs: pathlib.Path, postgres: Postgres):
        self.postgres = postgres
        self.home = scratch / "pulp"
        remove(self.home)
        for name in ("media", "tmp", "assets"):
            (self.home / name).mkdir(parents=True)
        venv = scratch / "venv-pulp"
        install(venv)
        api, content = free_port(), free_port()
        postgres.database("pulp")
        self.configure(content, postgres.port)
        environment = os.environ | {
            "PULP_SETTINGS": str(self.home / "settings.py"), "DJANGO_SETTINGS_MODULE": "pulpcore.app.settings",
            "PATH": f"{venv}/bin:{os.environ['PATH']}"}
        for words in (["migrate", "--noinput"], ["reset-admin-password", "--password", "password"]):
            with open(logs / f"pulp-{words[0]}.log", "wb") as log:
                subprocess.run([venv / "bin/pulpcore-manager", *words], check=True, env=environment, stdout=log, stderr=log)
        self.api, self.content_app = f"http://127.0.0.1:{api}", f"http://127.0.0.1:{content}"
        self.services = [
            Service(f"pulp-{name}", [venv / f"bin/pulpcore-{name}", *words], logs, env=environment)
            for name, words in (
                ("api", ["--bind", f"127.0.0.1:{api}", "--workers", "1", "--timeout", "300"]),
                ("content", ["--bind", f"127.0.0.1:{content}", "--workers", "1", "--timeout", "300"]),
                ("worker", []))]
        self.content, self.worker = self.services[1].pid, self.services[2].pid
        self.database = postgres.pid
        self.services[0].wait_until(is_open(api))
        self.services[1].wait_until(is_open(content))

    def configure(self, content: int, port: int):
        key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        (self.home / "key").write_text(key + "\n")
        database = {"ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": port, "NAME": "pulp",
                    "USER": "tutti", "PASSWORD": ""}
        settings = {
            "SECRET_KEY": "measured", "CONTENT_ORIGIN": f"http://127.0.0.1:{content}", "DEPLOY_ROOT": str(self.home),
            "MEDIA_ROOT": f"{self.home}/media", "STATIC_ROOT": f"{self.home}/assets",
            "WORKING_DIRECTORY": f"{self.home}/tmp", "FILE_UPLOAD_TEMP_DIR": f"{self.home}/tmp",
            "DB_ENCRYPTION_KEY": f"{self.home}/key", "DATABASES": {"default": database}, "CACHE_ENABLED": False,
            "ANALYTICS": False, "ORPHAN_PROTECTION_TIME": 0,
        }
        (self.home / "settings.py").write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))

    def analyze(self):
        self.postgres.sql("ANALYZE", "pulp")

    def age(self):
        """It takes no time to be removed at once."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for service in reversed(self.services):
            service.__exit__()
        remove(self.home)


def install(venv: pathlib.Path):
    """Pulp in a virtual environment, kept for the next time."""
    if not (venv / "bin/pulpcore-worker").exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin/pip", "install", "--quiet", *PULP], check=True)


def remove(directory: pathlib.Path):
    shutil.rmtree(directory, ignore_errors=True)
