"""How the settings want the queues declared that events, commands and replies come in by.

Source: SETTINGS (events, remote control); celery/events/receiver.py, kombu/pidbox.py (`Mailbox`).
"""

from typing import Any, Literal, TypedDict

from tq.errors import ConfigError

__all__ = ["QueueOptions", "queue_options"]


class QueueOptions(TypedDict):
    """Arguments of whoever declares such a queue.

    Attributes:
        queue_ttl: Seconds that a message lives in it.
        queue_expires: Seconds that the unused queue lives.
        queue_exclusive: Only the connection that declares it may use it.
        queue_durable: It outlives its connection and a restart of the server, until it expires.
    """

    queue_ttl: float
    queue_expires: float
    queue_exclusive: bool
    queue_durable: bool


def queue_options(conf: Any, kind: Literal["event", "control"]) -> QueueOptions:
    """Read the settings for queues of one kind.

    Args:
        conf: `Settings` or `Conf`.
        kind: `control` stands for commands and replies.

    Raises:
        ConfigError: The queues would have to be exclusive and durable at once.
    """
    exclusive = bool(getattr(conf, f"{kind}_queue_exclusive"))
    durable = bool(getattr(conf, f"{kind}_queue_durable"))
    if exclusive and durable:
        raise ConfigError(
            f"{kind}_queue_durable needs {kind}_queue_exclusive=False: "
            "an exclusive queue ends with its connection",
            setting=f"{kind}_queue_durable",
        )
    return QueueOptions(
        queue_ttl=getattr(conf, f"{kind}_queue_ttl"),
        queue_expires=getattr(conf, f"{kind}_queue_expires"),
        queue_exclusive=exclusive,
        queue_durable=durable,
    )
