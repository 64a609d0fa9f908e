"""A stand-in for the new program of an upgrade: it follows the handover (src/upgrade/parcel.h) up to
a message, and then does what a scenario wants."""

import os
import re
import struct
import sys

_HEADER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../src/upgrade/parcel.h")
with open(_HEADER) as f:
    _TEXT = f.read()
VERSION = int(re.search(r"#define PARCEL_VERSION +(\d+)", _TEXT)[1])
PATIENCE = int(re.search(r"#define PARCEL_PATIENCE +(\d+)", _TEXT)[1])     # ms
TYPES = [name.lower() for name in
         re.findall(r"PARCEL_([A-Z]+)", re.search(r"enum parcel_type {(.*?)};", _TEXT, re.S)[1])
         if name not in ("FDS", "BYTES")]
MAGIC, HEAD = 0x7a70726f, struct.Struct("=IHHIII")

_PROGRAM = f"""#!{sys.executable}
import os, signal, socket, struct, sys
TYPES, HEAD, MAGIC, VERSION = {TYPES}, struct.Struct({HEAD.format!r}), {MAGIC}, {VERSION}
sock = socket.socket(fileno=int(os.environ["ZPROXY_HANDOVER"]))


def say(kind, text=b"", version=VERSION):
    sock.send(HEAD.pack(MAGIC, version, TYPES.index(kind), 0, len(text), 0) + text)


def hear():
    data, rights, *_ = sock.recvmsg(1 << 18, socket.CMSG_SPACE(4 * 253))
    if not data:
        sys.exit(7)
    for _, _, fds in rights:        # a real one would keep them
        for fd in struct.unpack("%di" % (len(fds) // 4), fds):
            os.close(fd)
    return TYPES[HEAD.unpack(data[:HEAD.size])[2]]


def hang():
    while True:
        signal.pause()


def stop():
    os.kill(os.getpid(), signal.SIGSTOP)


def follow(step):
    say("accept")
    kind = hear()
    while kind != step:
        if kind == "prepared":
            say("accept")
        kind = hear()

"""


def heir(what):
    """A program that does what these lines of Python say; they may use follow(step), say(), hear(),
    hang(), stop()."""
    return _PROGRAM + what + "\n"
