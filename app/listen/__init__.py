"""Positions of vehicle boxes over UDP and TCP, gathered and written together.

Nobody is told that a datagram has arrived. What came in is kept until the database has it, as far
as memory is set aside for it; what was left out is counted, and logged every minute.
"""

from app.listen.listener import Listener, listen
from app.listen.rules import Rules, rules_of

__all__ = ["Listener", "Rules", "listen", "rules_of"]
