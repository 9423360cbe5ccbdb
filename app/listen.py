"""Positions of vehicle boxes over UDP and TCP, gathered and written together.

Nobody is told that a datagram has arrived. What came in is kept until the database has it, as far
as memory is set aside for it; what was left out is counted, and logged every minute.
"""

import asyncio
import contextlib
import csv
import ipaddress
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import structlog

from app.aliases import Aliases
from app.checks import is_unit_id
from app.db import Database
from app.errors import BadInput, DatabaseAway
from app.intake.formats import nmea, taip
from app.intake.formats.position import Position, Unreadable
from app.intake.heard import Heard, accept_positions
from app.settings import Settings

FORMATS = ("taip", "nmea")
GATHER_S = 0.25  # between two writes: a flush costs the same for one position as for thousands
GROUP = 5_000  # positions in one write
WAITING = 100_000  # positions in memory while the database is away, some 20 MB
PER_S = 20.0  # messages of one source address: a box sends one or two a second
BURST_S = 30.0  # of which so many seconds may come at once: what a box could not send before
SOURCES = 65_536  # addresses that something is remembered of
RECEIVE_BYTES = 8 << 20  # that the system may hold back; net.core.rmem_max allows less at first
DATAGRAM_BYTES = 65_535
AT_ONCE = 256  # datagrams before others get their turn
PIECE_BYTES = 4_096  # of a connection at a time
CONNECTIONS = 1_024
REPORT_S = 60.0
LAST_S = 6.0  # for the last write after a signal

log = structlog.get_logger()

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Clock = Callable[[], int]


@dataclass(frozen=True)
class Rules:
    """Who is heard, as whom, and how often.

    `units`: the call sign of each source address that has one; it comes before what the box says.
    """

    form: str
    allow: Sequence[Network]
    units: Mapping[str, str] = field(default_factory=dict)
    per_s: float = PER_S

    def allows(self, address: str) -> bool:
        """Whether a source address is one of those allowed."""
        there = ipaddress.ip_address(address)
        return any(there in network for network in self.allow)


class Place(NamedTuple):
    """A source address as lists write it, and whether it may be heard."""

    address: str
    allowed: bool


@dataclass
class Source:
    """What is remembered of a source address: how much it may still send, and its last words."""

    tokens: float
    filled_s: float
    memory: nmea.Memory = field(default_factory=nmea.Memory)


class Ear:
    """Turns what arrives into positions that wait to be written; counts what does not count."""

    def __init__(self, rules: Rules, now_us: Clock) -> None:
        """`now_us`: the clock."""
        self.rules = rules
        self.counts: Counter[str] = Counter()
        self.waiting: list[Heard] = []
        self._now_us = now_us
        self._places: dict[str, Place] = {}
        self._sources: dict[str, Source] = {}

    def hear(self, data: bytes, address: str) -> None:
        """Takes a datagram, or a piece of a connection that holds whole messages."""
        there = self._place(address)
        if not there.allowed:
            self.counts["not_allowed"] += 1
            return
        source = self._source(there.address)
        if self._in_time(source):
            self._keep(self._decoded(data, source), there.address)
        else:
            self.counts["too_often"] += 1

    def allows(self, address: str) -> bool:
        """Whether anything from there is taken; counted where it is not."""
        allowed = self._place(address).allowed
        self.counts["not_allowed"] += not allowed
        return allowed

    def _place(self, address: str) -> Place:
        found = self._places.get(address)
        if found is None:
            if len(self._places) >= SOURCES:
                self._places.clear()
            there = plain(address)
            found = self._places[address] = Place(there, self.rules.allows(there))
        return found

    def _source(self, address: str) -> Source:
        found = self._sources.get(address)
        if found is None:
            if len(self._sources) >= SOURCES:
                self._sources.clear()
            found = Source(self.rules.per_s * BURST_S, time.monotonic())
            self._sources[address] = found
        return found

    def _in_time(self, source: Source) -> bool:
        """Whether a source may send one more message: a bucket that fills again over time."""
        now_s = time.monotonic()
        gained = (now_s - source.filled_s) * self.rules.per_s
        source.tokens = min(self.rules.per_s * BURST_S, source.tokens + gained)
        source.filled_s = now_s
        if source.tokens < 1:
            return False
        source.tokens -= 1
        return True

    def _decoded(self, data: bytes, source: Source) -> list[Heard]:
        if self.rules.form == "taip":
            return self._taip(data)
        found, source.memory = nmea.decode(data, source.memory, self._now_us())
        self.counts["other"] += found.others
        return [*found.positions, *found.flaws]

    def _taip(self, data: bytes) -> list[Heard]:
        try:
            messages = taip.messages_of(data)
        except Unreadable as error:
            return [error.flaw]
        result: list[Heard] = []
        for message in messages:
            try:
                found = taip.decode(message, self._now_us())
            except Unreadable as error:
                result.append(error.flaw)
                continue
            self.counts["other"] += found is None
            result += [] if found is None else [found]
        return result

    def _keep(self, heard: list[Heard], address: str) -> None:
        self.counts["received"] += len(heard)
        unit_id = self.rules.units.get(address)
        for each in heard:
            if not isinstance(each, Position):
                self.counts["unreadable"] += 1
            elif not each.valid:
                self.counts["no_fix"] += 1
            elif len(self.waiting) >= WAITING:
                self.counts["no_room"] += 1
            else:
                self.waiting.append(named(each, unit_id))


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


def rules_of(form: str, allow: Sequence[str], units: Path | None, per_s: float) -> Rules:
    """The rules that a command states. Raises BadInput."""
    if form not in FORMATS:
        raise BadInput(f"--format must be one of {', '.join(FORMATS)}")
    try:
        networks = [ipaddress.ip_network(each) for each in allow]
    except ValueError as error:
        raise BadInput(f"--allow takes networks such as 10.4.0.0/16: {error}") from error
    return Rules(form, networks, {} if units is None else units_of_file(units), per_s)


def units_of_file(path: Path) -> dict[str, str]:
    """Source address to call sign, from CSV with the columns `address,unit_id`. Raises BadInput."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} cannot be read: {error}") from error
    if not rows or rows[0] != ["address", "unit_id"]:
        raise BadInput(f"the first line of {path} must be address,unit_id")
    result: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        try:
            address, unit_id = row
            address = str(ipaddress.ip_address(address.strip()))
        except ValueError as error:
            raise BadInput(f"{path}, line {number}: {error}") from error
        if not is_unit_id(unit_id) or address in result:
            raise BadInput(f"{path}, line {number}: {address} has no call sign, or two")
        result[address] = unit_id
    return result


def host_and_port(text: str) -> tuple[str, int]:
    """The parts of `HOST:PORT`; `[::1]:5000` for IPv6. Raises BadInput."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise BadInput(f"an address is HOST:PORT, not {text!r}")
    return host.strip("[]"), int(port)


def plain(address: str) -> str:
    """An address as it is written in a list: IPv4 also where it came through an IPv6 socket."""
    there = ipaddress.ip_address(address.partition("%")[0])
    mapped = there.ipv4_mapped if isinstance(there, ipaddress.IPv6Address) else None
    return str(mapped or there)


def named(position: Position, unit_id: str | None) -> Position:
    """The position under the call sign of its source address, where that has one."""
    return position if unit_id is None else position._replace(identifier=unit_id)
