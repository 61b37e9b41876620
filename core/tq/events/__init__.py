"""The stream of events: sending (`Emitter`) and receiving (`Receiver`) them in batches."""

from tq.events.emitter import Emitter
from tq.events.exchange import event_exchange
from tq.events.receiver import Batch, Gap, Receiver

__all__ = ["Batch", "Emitter", "Gap", "Receiver", "event_exchange"]
