"""Real parts, started by fixtures: on a port of the system's choice, asked until ready or dead."""

import getpass
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, sync_playwright
from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.exc import OperationalError

from tests.ports import kept_ports

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_READY_SECONDS = 60.0
_CHROMIUM_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
_INSTALL_OPTIONS = ("--auth-root-authentication-method=normal", "--skip-test-db")
_PASSWORD = "not a secret: @:/ü"  # characters that an address must escape


@pytest.fixture
def interpreted_spark(spark: "SparkSession") -> Iterator[None]:
    """Spark walks through its expressions instead of compiling them: a third less time for little data.

    What is compiled is tested where engines are compared.
    """
    interpreted = {"spark.sql.codegen.factoryMode": "NO_CODEGEN", "spark.sql.codegen.wholeStage": "false"}
    for name, value in interpreted.items():
        spark.conf.set(name, value)
    yield
    for name in interpreted:
        spark.conf.unset(name)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[URL]:
    """A MariaDB server with an empty database `pinterest_data`, reached over TCP as a plain user."""
    server, installer = _program("mariadbd"), _program("mariadb-install-db")
    # Not pytest's own folder: the path of a socket holds about 100 characters at most.
    with tempfile.TemporaryDirectory(prefix="mariadb-") as name, kept_ports(1) as (port,):
        folder = Path(name)
        data, user = folder / "data", f"--user={getpass.getuser()}"
        subprocess.run(
            [installer, "--no-defaults", f"--datadir={data}", user, *_INSTALL_OPTIONS],
            check=True,
            capture_output=True,
        )
        options = [f"--datadir={data}", f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}", user]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [server, "--no-defaults", *options, f"--port={port}", "--bind-address=127.0.0.1"],
                stdout=log,
                stderr=log,
            )
        try:
            _wait_until_ready(process, port, folder / "log")
            yield _make_database(port)
        finally:
            process.terminate()
            process.wait(30)


def _program(name: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        reason = f"{name} is not installed (Debian: apt-get install mariadb-server)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not _answers(port):
        if time.monotonic() > deadline:
            pytest.fail(f"mariadbd is not ready after {_READY_SECONDS} s:\n{_end(log)}")
        try:
            code = process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"mariadbd died with {code}:\n{_end(log)}")


def _end(log: Path) -> str:
    return log.read_text(errors="replace")[-2_000:]


def _answers(port: int) -> bool:
    try:
        with _administrator(port):
            return True
    except OperationalError:
        return False


@contextmanager
def _administrator(port: int) -> Iterator[Connection]:
    engine = create_engine(URL.create("mysql+pymysql", "root", "", "127.0.0.1", port))
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _make_database(port: int) -> URL:
    with _administrator(port) as connection:
        # The server's old default character set: the tables must not depend on it.
        connection.execute(text("CREATE DATABASE pinterest_data CHARACTER SET latin1"))
        connection.execute(
            text("CREATE USER 'emulator'@'localhost' IDENTIFIED BY :password"), {"password": _PASSWORD}
        )
        connection.execute(text("GRANT ALL ON pinterest_data.* TO 'emulator'@'localhost'"))
    return URL.create("mysql+pymysql", "emulator", _PASSWORD, "127.0.0.1", port, "pinterest_data")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("CI") == "true":
            pytest.fail("chromium is not installed, and CI must look at pages")
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 6 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a small file system")
    yield folder
    subprocess.run(["umount", folder], check=True)
