"""Errors of kombu, amqp and the system, in tq's words."""

from collections.abc import Iterator
from contextlib import contextmanager

import amqp.exceptions as amqp
from kombu import exceptions as kombu

from tq.errors import (
    BrokerConnectionError,
    BrokerError,
    ConfigError,
    EncodeError,
    QueueDeclarationMismatch,
    QueueNotFound,
    TQError,
)

__all__ = ["LOST", "translate_errors"]

# What a lost connection looks like; py-amqp also raises AttributeError and IndexError when its
# socket or channel table vanishes under a call (5.3).
LOST: tuple[type[Exception], ...] = (
    OSError,
    amqp.AMQPError,
    kombu.OperationalError,
    AttributeError,
    IndexError,
)
_MISMATCH = (amqp.PreconditionFailed, amqp.ResourceLocked)
_REFUSED = (amqp.AccessRefused, amqp.NotAllowed, amqp.AMQPNotImplementedError)


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Turn foreign errors into tq's.

    Args:
        url: The broker's address with its password masked, for the message.

    Raises:
        BrokerError: Of the fitting kind.
    """
    try:
        yield
    except TQError:
        raise
    except _MISMATCH as exc:
        raise QueueDeclarationMismatch(
            f"{url}: {exc.reply_text or exc}; declare it as it is, or delete it first"
        ) from exc
    except amqp.NotFound as exc:
        raise QueueNotFound(f"{url}: {exc.reply_text or exc}") from exc
    except _REFUSED as exc:
        raise BrokerError(f"{url} refused: {exc.reply_text or exc}") from exc
    except (amqp.FrameSyntaxError, kombu.EncodeError) as exc:
        raise EncodeError(f"a header cannot be written for {url}: {exc}") from exc
    except (ImportError, KeyError) as exc:
        raise ConfigError(f"no transport for {url}: {exc}") from exc
    except LOST as exc:
        raise BrokerConnectionError(f"{url} does not answer: {exc or type(exc).__name__}") from exc
