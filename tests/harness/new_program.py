"""Replacements for the new program of an upgrade. They take part in the handover
(src/handover/handover_message.h) up to a message and then misbehave as a scenario wants."""

import os
import re
import struct
import sys

_HEADER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../src/handover/handover_message.h")
with open(_HEADER) as f:
    _TEXT = f.read()
VERSION = int(re.search(r"#define HANDOVER_VERSION +(\d+)", _TEXT)[1])
TIMEOUT = int(re.search(r"#define HANDOVER_TIMEOUT_MS +(\d+)", _TEXT)[1])     # ms
TYPES = [name.lower() for name in
         re.findall(r"HANDOVER_([A-Z_]+)", re.search(r"enum handover_message_type {(.*?)};", _TEXT, re.S)[1])
         if name not in ("FDS", "BYTES")]
MAGIC, HEAD = 0x7a70726f, struct.Struct("=IHHIII")

_PROGRAM = f"""#!{sys.executable}
import os, signal, socket, struct, sys
TYPES, HEAD, MAGIC, VERSION = {TYPES}, struct.Struct({HEAD.format!r}), {MAGIC}, {VERSION}
sock = socket.socket(fileno=int(os.environ["ZPROXY_HANDOVER"]))


def send(kind, text=b"", version=VERSION):
    sock.send(HEAD.pack(MAGIC, version, TYPES.index(kind), 0, len(text), 0) + text)


def receive():
    data, rights, *_ = sock.recvmsg(1 << 18, socket.CMSG_SPACE(4 * 253))
    if not data:
        sys.exit(7)
    for _, _, fds in rights:        # the real program would keep them
        for fd in struct.unpack("%di" % (len(fds) // 4), fds):
            os.close(fd)
    return TYPES[HEAD.unpack(data[:HEAD.size])[2]]


def hang():
    while True:
        signal.pause()


def stop():
    os.kill(os.getpid(), signal.SIGSTOP)


def follow(step):
    send("accept")
    kind = receive()
    while kind != step:
        if kind == "prepared":
            send("accept")
        kind = receive()

"""


def new_program(what):
    """A program that runs these lines of Python, which may call follow(step), send(), receive(),
    hang() and stop()."""
    return _PROGRAM + what + "\n"


_DAMAGING = f"""#!{sys.executable}
import array, os, random, select, socket, struct, subprocess, sys
TYPES, HEAD = {TYPES}, struct.Struct({HEAD.format!r})
step, how, program, status, number = %r, %r, %r, %r, %r
old = socket.socket(fileno=int(os.environ["ZPROXY_HANDOVER"]))
new, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
real = subprocess.Popen([program, *sys.argv[1:]], pass_fds=[end.fileno()],
                        env=dict(os.environ, ZPROXY_HANDOVER=str(end.fileno())))
end.close()
rng = random.Random(number)


def damage(data, fds):
    magic, version, kind, count, size, many = HEAD.unpack(data[:HEAD.size])
    body = data[HEAD.size:]
    if how == "short":
        body = body[:-8]
    elif how == "extra bytes":
        body += bytes(8)
    elif how == "count + 1":
        count += 1
    elif how == "count - 1":
        count -= 1
    elif how == "no descriptors":
        fds = []
    elif how == "extra descriptor":
        fds = [*fds, 0]
    elif how == "wrong length":
        return data[:-1], fds
    elif how == "other descriptors":
        fds = [os.open("/dev/null", os.O_RDWR)] * len(fds)
    elif how == "random":
        body = bytearray(body)
        for _ in range(rng.choice([1, 1, 2, 20])):
            body[rng.randrange(len(body))] = rng.choice([0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)])
    return HEAD.pack(magic, version, kind, count, len(body), len(fds)) + bytes(body), fds


def forward(source, sink):
    data, rights, *_ = source.recvmsg(1 << 18, socket.CMSG_SPACE(4 * 253))
    fds = [fd for _, _, raw in rights for fd in array.array("i", raw)]
    kind = TYPES[HEAD.unpack(data[:HEAD.size])[2]] if data else None
    given = fds
    if data and source is old and (kind == step or step == "any" and rng.random() < 0.3 and
                                   len(data) > HEAD.size):
        data, given = damage(data, fds)
    if data and not (source is new and kind == "taken_over"):
        sink.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", given))])
    for fd in fds:
        os.close(fd)
    return bool(data) and kind not in ("refuse", "taken_over")


goes_on, sources, errors = True, [new, old], 0
while goes_on and errors < 3:
    ready = select.select(sources, [], [])[0]
    source = new if new in ready else old       # the last message of the new one is not lost
    try:
        goes_on = forward(source, old if source is new else new)
    except OSError:
        errors += 1         # its last message comes after the error
        sources = [new]
new.close()
try:
    real.wait(20)
except subprocess.TimeoutExpired:
    real.kill()
    real.wait()
with open(status + ".new", "w") as f:
    f.write(str(real.returncode))
os.rename(status + ".new", status)
"""


def damaging(program, status, step, how, number=0):
    """A program that forwards messages between the old program and a real new one, and damages the
    message named `step` ("any": any of them) in one of these ways: "short", "extra bytes", "count + 1",
    "count - 1", "no descriptors", "extra descriptor", "other descriptors", "wrong length" (in the header)
    or "random" (the seed is `number`). It writes the exit status of the new program to the file `status`.
    The new program never takes over."""
    return _DAMAGING % (step, how, program, status, number)
