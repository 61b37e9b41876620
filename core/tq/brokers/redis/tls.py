"""TLS for a Redis connection; verified unless switched off by name."""

import logging
import socket
import ssl
from collections.abc import Mapping
from typing import Any

from tq.errors import ConfigError

__all__ = ["wrap"]

_log = logging.getLogger(__name__)
_VERIFY = {
    "required": ssl.CERT_REQUIRED,
    "optional": ssl.CERT_OPTIONAL,
    "none": ssl.CERT_NONE,
}


def wrap(plain: socket.socket, host: str, options: Mapping[str, Any]) -> ssl.SSLSocket:
    """Start TLS on a connected socket.

    Args:
        plain: The socket.
        host: The name the certificate must carry.
        options: redis-py's and kombu's names: `ssl_cert_reqs` (`required` by default, `none`),
            `ssl_ca_certs`, `ssl_ca_path`, `ssl_certfile`, `ssl_keyfile`, `ssl_check_hostname`.

    Raises:
        ConfigError: A file is missing or an option makes no sense.
        OSError: The handshake failed.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    verify = _verification(options.get("ssl_cert_reqs", "required"))
    check = str(options.get("ssl_check_hostname", verify == ssl.CERT_REQUIRED)).lower()
    context.check_hostname = check in ("1", "true", "yes") and verify != ssl.CERT_NONE
    context.verify_mode = verify
    if verify == ssl.CERT_NONE:
        _log.warning("TLS to %s without verification: anybody in between can read and write", host)
    try:
        if options.get("ssl_ca_certs") or options.get("ssl_ca_path"):
            context.load_verify_locations(options.get("ssl_ca_certs"), options.get("ssl_ca_path"))
        if options.get("ssl_certfile"):
            context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    except FileNotFoundError as error:
        raise ConfigError(f"a TLS file of the Redis connection is missing: {error}") from error
    return context.wrap_socket(plain, server_hostname=host)


def _verification(value: Any) -> ssl.VerifyMode:
    """Read `ssl_cert_reqs`: a constant of ssl, or its name with or without `CERT_`."""
    if isinstance(value, ssl.VerifyMode | int):
        return ssl.VerifyMode(value)
    name = str(value).lower().removeprefix("cert_")
    if name not in _VERIFY:
        raise ConfigError(f"ssl_cert_reqs must be required, optional or none, not {value!r}")
    return _VERIFY[name]
