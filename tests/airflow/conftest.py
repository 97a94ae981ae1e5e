"""A small Databricks, and one driver for each version of Airflow."""

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest
import trustme

from tests.airflow.environment import VERSIONS, Driver, driver
from tests.airflow.jobs_api import CLIENT, SECRET, JobsApi, JobsServer
from tests.airflow.mail import MailServer

Login = Callable[..., str]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, dict[str, str]]:
    """A certificate for databricks.example, and the variables of a process that trusts it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("databricks.example").configure_cert(context)
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return context, {"SSL_CERT_FILE": str(path), "REQUESTS_CA_BUNDLE": str(path)}


@pytest.fixture(scope="session")
def server(certificate: tuple[ssl.SSLContext, dict[str, str]]) -> Iterator[JobsServer]:
    server = JobsServer(certificate[0])
    yield server
    server.close()


@pytest.fixture
def jobs(server: JobsServer) -> JobsApi:
    """The Jobs API without runs and faults."""
    return server.fresh()


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def databricks(server: JobsServer) -> Login:
    """The connection to the server by OAuth, as a provider of the time of an Airflow reads it."""

    def login(version: str, secret: str = SECRET) -> str:
        connection = {"conn_type": "databricks", "login": CLIENT, "password": secret}
        if version.startswith("3.3"):  # asks for its token at port 443 of the host, whatever the port is
            extra = {"service_principal_oauth": True, "proxies": {"https": server.url}}
            return json.dumps(connection | {"host": "databricks.example", "extra": extra})
        plain = {"host": server.url, "port": server.port, "schema": "http"}
        return json.dumps(connection | plain | {"extra": {"service_principal_oauth": True}})

    return login


@pytest.fixture(scope="package")
def drivers(
    tmp_path_factory: pytest.TempPathFactory, certificate: tuple[ssl.SSLContext, dict[str, str]]
) -> Iterator[Callable[[str], Driver]]:
    """A process for each version that is asked for."""
    with ExitStack() as stack:

        @cache
        def of(version: str) -> Driver:
            folder = tmp_path_factory.mktemp(f"airflow-{version}")
            return stack.enter_context(driver(version, folder, certificate[1]))

        yield of


@pytest.fixture(params=VERSIONS)
def dag(request: pytest.FixtureRequest, drivers: Callable[[str], Driver]) -> Driver:
    """The DAG under one version of Airflow."""
    return drivers(request.param)


OLDEST_AND_NEWEST = pytest.mark.parametrize("dag", [VERSIONS[0], VERSIONS[-1]], indirect=True)
"""For tests of what is the DAG's own doing: each run under Airflow 3.0 costs ten seconds."""
