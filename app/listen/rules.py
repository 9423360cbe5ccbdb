"""Who is heard, as whom, and how often."""

import csv
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.checks import is_unit_id
from app.errors import BadInput

FORMATS = ("taip", "nmea")
PER_S = 20.0  # messages of one source address: a box sends one or two a second

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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
