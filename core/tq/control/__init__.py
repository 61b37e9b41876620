"""Remote control: commands to workers and their replies, from both ends."""

from tq.control.control import Control
from tq.control.inspect import DuplicateNodenameWarning, Inspect
from tq.control.mailbox import Call, Mailbox
from tq.control.node import Node

__all__ = ["Call", "Control", "DuplicateNodenameWarning", "Inspect", "Mailbox", "Node"]
