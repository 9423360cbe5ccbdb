"""Sockets that hear, and the one task that writes."""

import asyncio
import contextlib
import signal
import socket
import time
from collections import Counter
from collections.abc import Sequence

import structlog

from app.aliases import Aliases
from app.db import Database
from app.errors import DatabaseAway
from app.intake.heard import Heard, accept_positions
from app.listen.ear import Clock, Ear
from app.listen.rules import Rules, host_and_port
from app.settings import Settings

GATHER_S = 0.25  # between two writes: a flush costs the same for one position as for thousands
GROUP = 5_000  # positions in one write
RECEIVE_BYTES = 8 << 20  # that the system may hold back; net.core.rmem_max allows less at first
DATAGRAM_BYTES = 65_535
AT_ONCE = 256  # datagrams before others get their turn
PIECE_BYTES = 4_096  # of a connection at a time
CONNECTIONS = 1_024
REPORT_S = 60.0
LAST_S = 6.0  # for the last write after a signal

log = structlog.get_logger()


def udp_socket(where: tuple[str, int]) -> socket.socket:
    """A socket for datagrams, with as much room as the system gives: nobody sends them again."""
    family, _, _, _, address = socket.getaddrinfo(*where, type=socket.SOCK_DGRAM)[0]
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        made.setblocking(False)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made


def drain(made: socket.socket, ear: Ear) -> None:
    """Takes the datagrams that are there, up to so many that others get their turn."""
    for _ in range(AT_ONCE):
        try:
            data, sender = made.recvfrom(DATAGRAM_BYTES)
        except OSError:  # none left, or an echo of nobody's
            return
        ear.hear(data, sender[0])


class Listener:
    """Sockets that hear, and the one task that writes."""

    def __init__(self, database: Database, settings: Settings, rules: Rules, now_us: Clock) -> None:
        """`now_us`: the clock."""
        self.ear = Ear(rules, now_us)
        self._database, self._settings, self._now_us = database, settings, now_us
        self._aliases = Aliases(database)
        self._stop = asyncio.Event()
        self._connections = 0
        self.addresses: list[tuple[str, int]] = []

    async def run(self, udp: Sequence[str], tcp: Sequence[str]) -> None:
        """Hears until it is told to stop, then writes what waits. Raises OSError, BadInput."""
        loop = asyncio.get_running_loop()
        sockets: list[socket.socket] = []
        servers: list[asyncio.Server] = []
        try:
            for where in map(host_and_port, udp):
                made = udp_socket(where)
                sockets.append(made)
                loop.add_reader(made, drain, made, self.ear)
                self.addresses.append(made.getsockname()[:2])
            for where in map(host_and_port, tcp):
                server = await asyncio.start_server(self._connected, *where)
                servers.append(server)
                self.addresses.append(server.sockets[0].getsockname()[:2])
            log.info("listening", format=self.ear.rules.form, addresses=self.addresses)
            await self._write_until_stopped()
        finally:
            for made in sockets:
                loop.remove_reader(made)
                drain(made, self.ear)
                made.close()
            for server in servers:
                server.close()
        await self._write_last()

    def stop(self) -> None:
        """Ends `run` once what waits is written."""
        self._stop.set()

    async def _write_until_stopped(self) -> None:
        reported_s = time.monotonic()
        while not self._stop.is_set():
            pause_s = GATHER_S if await self._write() else self._settings.busy_timeout_s
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause_s)
            if time.monotonic() - reported_s >= REPORT_S:
                self.report()
                reported_s = time.monotonic()

    async def _write_last(self) -> None:
        until_s = time.monotonic() + LAST_S
        while self.ear.waiting and time.monotonic() < until_s:
            if not await self._write():
                await asyncio.sleep(GATHER_S)
        self.ear.counts["lost"] += len(self.ear.waiting)
        self.report()

    async def _write(self) -> bool:
        """Writes what waits, in groups; false where the database is away: then it waits on."""
        while self.ear.waiting:
            group = self.ear.waiting[:GROUP]
            try:
                receipt = await asyncio.to_thread(self._accept, group)
            except DatabaseAway as away:
                log.warning("positions wait", waiting=len(self.ear.waiting), reason=str(away))
                return False
            except Exception:  # a defect: the next group may be free of it
                log.exception("defect", lost=len(group))
                receipt = {"lost": len(group)}
            del self.ear.waiting[: len(group)]
            self.ear.counts.update(receipt)
        return True

    def _accept(self, group: list[Heard]) -> dict[str, int]:
        names = self._aliases.of(self.ear.rules.form)
        made = accept_positions(self._database, self._settings, group, names, self._now_us())
        codes = Counter(f"rejected_{error.code}" for error in made.errors)
        counted = {"accepted": made.accepted, "duplicate": made.duplicate}
        return {**counted, "rejected": made.rejected, **codes}

    def report(self) -> None:
        """Logs what was counted since the last time."""
        if self.ear.counts:
            log.info("heard", format=self.ear.rules.form, **+self.ear.counts)
            self.ear.counts.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Takes whole messages of one connection, as they come in."""
        address = str(writer.get_extra_info("peername")[0])
        self._connections += 1
        try:
            if self._connections <= CONNECTIONS and self.ear.allows(address):
                await self._take_pieces(reader, address)
        except ConnectionError:
            pass  # the other end has gone
        finally:
            self._connections -= 1
            writer.close()

    async def _take_pieces(self, reader: asyncio.StreamReader, address: str) -> None:
        end = b"<" if self.ear.rules.form == "taip" else b"\n"
        held = b""
        while piece := await reader.read(PIECE_BYTES):
            whole, found, held = (held + piece).rpartition(end)
            if whole.strip():
                self.ear.hear(whole + found, address)
            if len(held) > PIECE_BYTES:
                self.ear.counts["unreadable"] += 1  # this is no such format: no more of it
                return


def listen(
    database: Database,
    settings: Settings,
    rules: Rules,
    udp: Sequence[str],
    tcp: Sequence[str],
    now_us: Clock,
) -> None:
    """Listens until SIGTERM or SIGINT. Raises BadInput, and OSError for an address in use."""

    async def run() -> None:
        listener = Listener(database, settings, rules, now_us)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, listener.stop)
        await listener.run(udp, tcp)

    asyncio.run(run())
