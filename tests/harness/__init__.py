"""What the scenarios are written with.

    tap        promises, and which of them were kept
    addresses  loopback addresses of the test's own
    traffic    clients, servers and bytes
    new_program what may stand in for the new program of an upgrade
    load       clients that come and go, and streams that are checked
    machine    this machine: users, settings, network namespaces, programs
    program    zproxy under test
    control    its control socket
    trace      its system calls
    services   real servers: nginx, redis, PostgreSQL, dnsmasq
    systemd    zproxy as systemd starts and watches it
    container  systemd itself, over this machine's files
    names      a name server played by the test
    web        what zproxy tells by HTTP, Prometheus, a browser

A scenario is read from top to bottom: it starts servers and zproxy, plays both ends itself, and
says what must hold. Nothing in it measures time: it waits for what must come, up to DEADLINE.
"""

from .addresses import Address, free_port, fresh_address
from .control import Control, Refused, zproxyctl
from .load import Streams, Visitors
from .machine import (Network, Sysctl, in_mount_namespace, need, need_compiler,
                      need_mount_namespaces, need_program, need_root, run_program, scratch,
                      tcp_states)
from .program import (Zproxy, instruments, need_names, need_plain, need_splice, parse_line,
                      sections_for, zproxy)
from .tap import DEADLINE, Failure, Skip, note, promise, run, wait_for
from .traffic import (Backend, BlackHole, Echo, Received, Refusing, background, complete, connect,
                      digest, echoes, fill, is_reset, payload, receive, reset, send, was_reset)
from .web import Metrics, Prometheus, Watched, ask, browse, need_http

__all__ = [
    "Address", "Backend", "BlackHole", "Control", "DEADLINE", "Echo", "Failure", "Metrics",
    "Network", "Prometheus", "Received", "Refused", "Refusing", "Skip", "Streams", "Sysctl",
    "Visitors", "Watched", "Zproxy", "ask", "background", "browse", "complete", "connect",
    "digest", "echoes", "fill", "free_port", "fresh_address", "in_mount_namespace", "instruments",
    "is_reset", "need", "need_compiler", "need_http", "need_mount_namespaces", "need_names",
    "need_plain", "need_program", "need_root", "need_splice", "note", "parse_line", "payload",
    "promise", "receive", "reset", "run", "run_program", "scratch", "sections_for", "send",
    "tcp_states", "wait_for", "was_reset", "zproxy", "zproxyctl",
]
