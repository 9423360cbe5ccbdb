"""What this process remembers of layers: bounded in bytes, the least used forgotten first."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Memory(Generic[V]):
    """Values by key, at most so many bytes of them together; safe to share among threads."""

    def __init__(self, most_bytes: int, size_of: Callable[[V], int]) -> None:
        self._most_bytes = most_bytes
        self._size_of = size_of
        self._bytes = 0
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, V] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """The value of that key, made where it is not remembered."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()  # two may make it at once; what they make is the same
        size = self._size_of(value)
        with self._lock:
            if key not in self._values and size <= self._most_bytes:
                self._values[key] = value
                self._bytes += size
            while self._bytes > self._most_bytes:
                self._bytes -= self._size_of(self._values.popitem(last=False)[1])
        return value
