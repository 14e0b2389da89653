"""Shut every way out of this process and its children but loopback, and note who tries one.

Python runs this module before any other where its folder is on the path. What Python opens is seen
and refused by an audit hook. Where the system allows a network of our own, the first process takes
one that has loopback alone: then nothing gets out, and the kernel counts what native code tried.
"""

import atexit
import ctypes
import fcntl
import ipaddress
import os
import socket
import struct
import sys
import traceback
from pathlib import Path
from typing import Any

_NEW_NETWORK, _NEW_USER, _UP = 0x40000000, 0x10000000, 0x1
_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914
_LOOKED_UP = ("socket.getaddrinfo", "socket.gethostbyname")
_SENT = ("socket.connect", "socket.sendto", "socket.sendmsg")


def is_near(host: Any) -> bool:
    """Return whether a host is this machine."""
    name = host.decode() if isinstance(host, bytes) else host
    if not name or name in ("localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def refuse(event: str, args: tuple[Any, ...]) -> None:
    """Refuse what leads out, and note it."""
    if event in _LOOKED_UP:
        host = args[0]
    elif event in _SENT and isinstance(args[1], tuple):  # a path is a socket of this machine
        host = args[1][0]
    else:
        return
    if not is_near(host):
        note(f"{event} {host}")
        raise OSError(101, "Network is unreachable", str(host))


def note(said: str) -> None:
    """Add a line to the list of attempts: what, and the calls that led there."""
    frames = reversed(traceback.extract_stack())
    way = " < ".join(f"{Path(frame.filename).stem}.{frame.name}" for frame in frames)
    with NOTES.open("a") as file:
        file.write(f"{said} by {way}\n")


def take_a_network() -> bool:
    """Move this process into a network that has loopback alone; return whether that worked."""
    system = ctypes.CDLL(None, use_errno=True)
    if system.unshare(_NEW_NETWORK) and system.unshare(_NEW_USER | _NEW_NETWORK):
        return False
    with socket.socket() as any_socket:
        asked = struct.pack("16sH14s", b"lo", 0, b"")
        _, flags, _ = struct.unpack("16sH14s", fcntl.ioctl(any_socket, _GET_FLAGS, asked))
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14s", b"lo", flags | _UP, b""))
    return True


def unreachable() -> int:
    """Return how many packets of this network had nowhere to go."""
    names, values = (
        line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if "Ip: " in line
        if line.startswith("Ip: ")
    )  # fmt: skip
    sixth = dict(line.split() for line in Path("/proc/net/snmp6").read_text().splitlines())
    return int(dict(zip(names, values, strict=True))["OutNoRoutes"]) + int(sixth["Ip6OutNoRoutes"])


def count_at_the_end(before: int) -> None:
    """Note what the kernel refused; the hook refuses earlier, so this is native code's."""
    if unreachable() > before:
        note(f"{unreachable() - before} packets of native code")


NOTES = Path(os.environ["CLOSED_NETWORK"])
sys.addaudithook(refuse)
if os.environ.pop("OWN_NETWORK", ""):  # children stay in it
    if take_a_network():
        atexit.register(count_at_the_end, unreachable())
    else:
        sys.stderr.write("no network of one's own here: native code is not counted\n")
