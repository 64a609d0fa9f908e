"""The library of the scenarios; tests/README.md has a table of its modules.

A scenario is read from top to bottom: it starts servers and zproxy, is client and server itself,
and asserts what must hold. It measures no time: it waits for what must come, up to DEADLINE.
"""

from .addresses import Address, free_port, fresh_address
from .control import Control, Refused, zproxyctl
from .load import Streams, Visitors
from .machine import (Network, Sysctl, in_mount_namespace, need, need_compiler,
                      need_mount_namespaces, need_program, need_root, run_program, scratch,
                      tcp_states)
from .program import (Zproxy, instruments, keys_text, need_names, need_plain, need_splice, parse_line,
                      sections_for, zproxy)
from .tap import DEADLINE, PATIENCE, Failure, Skip, note, promise, run, short, wait_for
from .traffic import (Backend, BlackHole, Echo, Received, Refusing, background, complete, connect,
                      digest, echoes, fill, is_refused, is_reset, payload, receive, reset, send, was_reset)
from .web import Metrics, Prometheus, Watched, ask, browse, need_http

__all__ = [
    "Address", "Backend", "BlackHole", "Control", "DEADLINE", "Echo", "Failure", "Metrics",
    "Network", "Prometheus", "Received", "Refused", "Refusing", "PATIENCE", "Skip", "Streams", "Sysctl",
    "Visitors", "Watched", "Zproxy", "ask", "background", "browse", "complete", "connect",
    "digest", "echoes", "fill", "free_port", "fresh_address", "in_mount_namespace", "instruments",
    "is_refused", "is_reset", "keys_text", "need", "need_compiler", "need_http", "need_mount_namespaces", "need_names",
    "need_plain", "need_program", "need_root", "need_splice", "note", "parse_line", "payload",
    "promise", "receive", "reset", "run", "run_program", "scratch", "sections_for", "send", "short",
    "tcp_states", "wait_for", "was_reset", "zproxy", "zproxyctl",
]
