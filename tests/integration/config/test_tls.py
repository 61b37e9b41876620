"""Settings for encrypted connections, against a server that takes no others."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.processes import tq_worker
from tests.support.services import RedisServer, free_port
from tq import TQ
from tq.errors import BackendError, BrokerConnectionError

pytestmark = pytest.mark.timeout(120)


class Place(NamedTuple):
    """A server's address and the certificate that proves it."""

    url: str
    certificate: str


def certificate(folder: Path, name: str) -> list[str]:
    """Make a key and its certificate for 127.0.0.1; returns their paths, the key's first."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not there")
    key, made = folder / f"{name}.key", folder / f"{name}.crt"
    options = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    options += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)]
    subprocess.run(
        [openssl, "req", "-x509", *options],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return [str(key), str(made)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("tls")
    key, made = certificate(folder, "server")
    port = free_port()
    options = ["--tls-port", str(port), "--tls-cert-file", made, "--tls-key-file", key]
    server = RedisServer("redis", *options, "--tls-ca-cert-file", made, "--tls-auth-clients", "no")
    try:
        try:
            server.start()
        except AssertionError as error:
            if "tls" in str(error).lower():
                pytest.skip("this Redis was built without TLS")
            raise
        yield Place(f"rediss://127.0.0.1:{port}/0", made)
    finally:
        server.close()


def test_a_task_runs_over_encrypted_connections(place: Place) -> None:
    tls = f"ssl_ca_certs={place.certificate}&ssl_cert_reqs=required"
    url = f"{place.url}?{tls}"
    trust = {"ssl_ca_certs": place.certificate}
    with (
        tq_worker(url, PEER_BACKEND=url, PEER_LEDGER=url),
        TQ("c", broker=place.url, backend=place.url, set_as_current=False) as app,
    ):
        app.conf.update(broker_use_ssl=trust, redis_backend_use_ssl=trust)
        assert app.send_task("peer.add", (1, 2)).get(timeout=30) == 3


def test_a_server_that_cannot_prove_itself_is_not_talked_to(place: Place, tmp_path: Path) -> None:
    _, other = certificate(tmp_path, "other")
    with TQ("c", broker=place.url, backend=place.url, set_as_current=False) as app:
        trust = {"ssl_ca_certs": other}
        app.conf.update(broker_use_ssl=trust, redis_backend_use_ssl=trust, task_publish_retry=False)
        with pytest.raises(BrokerConnectionError, match=r"(?i)certificate"):
            app.send_task("peer.add", (1, 2))
        with pytest.raises(BackendError, match=r"(?i)certificate"):
            _ = app.AsyncResult("any").state
