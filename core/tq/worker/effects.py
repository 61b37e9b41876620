"""What a task's end records, and the one place that writes it: in a child or in the parent.

Source: RELIABILITY 3.2 (2) and 2 (13, 22); PROTOCOL 9 and 10.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tq.backends.base import Backend
from tq.brokers.base import Broker, ChordPart, Message, Settled, Settlement
from tq.execution.callbacks import dispatch_chord
from tq.execution.outcome import PendingChord
from tq.wire.result import ResultMeta

__all__ = ["EffectWriter", "Effects"]

logger = logging.getLogger(__name__)

Settle = Callable[[Sequence[Settlement]], list[Settled]]


class Effects(msgspec.Struct):
    """What ends a delivery. Written once; `written` notes how far a failed attempt came.

    Attributes:
        settlement: The ack, with all effects that the broker's server can record along with it.
        results: Records that the backend stores by itself, before the ack.
        reply_to: Task id -> reply queue, for `rpc://`.
        messages: Messages to publish before the ack, where it cannot carry them.
        part: The chord part that the backend counts by itself.
        chord: The chord whose body may have to be sent.
        claim: The claim on a chord whose body is not sent yet.
        held: The settle step kept the delivery, until that body is sent.
    """

    settlement: Settlement
    results: list[ResultMeta] = []
    reply_to: dict[str, str] | None = None
    messages: list[Message] = []
    part: ChordPart | None = None
    chord: PendingChord | None = None
    claim: str | None = None
    held: bool = False
    written: int = 0
    done: bool = True


_RECORDED, _PUBLISHED, _SETTLED = 1, 2, 3


class EffectWriter:
    """Writes effects in as few calls as their servers allow. Owned by one thread.

    Every step may be repeated after a lost connection: storing a record again changes nothing,
    parts are counted once per task, and a settlement that was done answers that it was.
    """

    def __init__(self, app: Any, backend: Backend, broker: Broker) -> None:
        """Keep where to write."""
        self._app = app
        self._backend = backend
        self._broker = broker

    def write(self, batch: Sequence[Effects], settle: Settle | None) -> None:
        """Write a batch; `done` of each says whether its lease held.

        Args:
            batch: In order.
            settle: Settles at the broker; None leaves that to the caller.

        Raises:
            BrokerConnectionError: Not all was written; write the same batch again.
            ResultNotStored: The same.
        """
        self._record(batch)
        self._publish(batch)
        # Before the ack: a process that dies in between leaves a part that comes back and counts
        # again, instead of a chord that waits for ever.
        self._count(batch)
        self._start_bodies(batch)
        if settle is not None:
            self._settle(batch, settle)
            self._start_bodies(batch)
            held = [effects for effects in batch if effects.held]
            if held:
                settle([Settlement(tag=effects.settlement.tag) for effects in held])
                for effects in held:
                    effects.held = False

    def _start_bodies(self, batch: Sequence[Effects]) -> None:
        for effects in batch:
            if effects.claim is not None:
                self._start_body(effects)

    def _record(self, batch: Sequence[Effects]) -> None:
        waiting = [effects for effects in batch if effects.results and effects.written < _RECORDED]
        if not waiting:
            return
        reply_to: dict[str, str] = {}
        for effects in waiting:
            reply_to.update(effects.reply_to or {})
        self._backend.store(
            [result for effects in waiting for result in effects.results], reply_to=reply_to or None
        )
        _note(waiting, _RECORDED)

    def _publish(self, batch: Sequence[Effects]) -> None:
        waiting = [e for e in batch if e.messages and e.written < _PUBLISHED]
        if waiting:
            self._broker.publish([message for e in waiting for message in e.messages])
            _note(waiting, _PUBLISHED)

    def _count(self, batch: Sequence[Effects]) -> None:
        """Count chord parts that the settle step cannot, after their results are safe."""
        for effects in batch:
            for part in effects.chord.others if effects.chord is not None else ():
                effects.claim = self._backend.count_chord_part(part) or effects.claim
            if effects.part is not None:
                claim = self._backend.count_chord_part(effects.part)
                effects.part = None
                effects.claim = claim or effects.claim

    @staticmethod
    def _settle(batch: Sequence[Effects], settle: Settle) -> None:
        waiting = [effects for effects in batch if effects.written < _SETTLED]
        if not waiting:
            return
        answers = settle([effects.settlement for effects in waiting])
        for effects, answer in zip(waiting, answers, strict=True):
            effects.done = answer.done
            if answer.claim is not None:
                effects.claim = answer.claim
                effects.held = True
        _note(waiting, _SETTLED)

    def _start_body(self, effects: Effects) -> None:
        """Send the body of a chord that is complete."""
        if effects.chord is not None and effects.claim is not None:
            dispatch_chord(self._app, effects.chord, effects.claim)
        effects.claim = None


def _note(batch: Sequence[Effects], stage: int) -> None:
    for effects in batch:
        effects.written = max(effects.written, stage)
