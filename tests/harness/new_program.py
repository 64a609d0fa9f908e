"""Programs to take the place of the new one in an upgrade. They speak the protocol of the handover
(src/handover/handover_message.h) up to one message, and then misbehave as the scenario wants."""

import os
import re
import struct
import sys

_HEADER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../src/handover/handover_message.h")
with open(_HEADER) as f:
    _TEXT = f.read()
VERSION = int(re.search(r"#define HANDOVER_VERSION +(\d+)", _TEXT)[1])
PATIENCE = int(re.search(r"#define HANDOVER_TIMEOUT_MS +(\d+)", _TEXT)[1])     # ms
TYPES = [name.lower() for name in
         re.findall(r"HANDOVER_([A-Z_]+)", re.search(r"enum handover_message_type {(.*?)};", _TEXT, re.S)[1])
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
    for _, _, fds in rights:        # zproxy would keep them
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


def new_program(what):
    """Returns a program that runs these lines of Python. They may call follow(step): answer
    messages until step has come; say(type): send a message; hear(): receive one; hang(); stop()."""
    return _PROGRAM + what + "\n"


_DAMAGING = f"""#!{sys.executable}
import array, os, random, select, socket, struct, subprocess, sys
TYPES, HEAD = {TYPES}, struct.Struct({HEAD.format!r})
step, how, program, said, number = %r, %r, %r, %r, %r
old = socket.socket(fileno=int(os.environ["ZPROXY_HANDOVER"]))
new, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
real = subprocess.Popen([program, *sys.argv[1:]], pass_fds=[end.fileno()],
                        env=dict(os.environ, ZPROXY_HANDOVER=str(end.fileno())))
end.close()
dice = random.Random(number)


def damage(data, fds):
    magic, version, kind, count, size, many = HEAD.unpack(data[:HEAD.size])
    body = data[HEAD.size:]
    if how == "short":
        body = body[:-8]
    elif how == "surplus":
        body += bytes(8)
    elif how == "one too many":
        count += 1
    elif how == "one too few":
        count -= 1
    elif how == "no descriptors":
        fds = []
    elif how == "a descriptor more":
        fds = [*fds, 0]
    elif how == "a lie":
        return data[:-1], fds
    elif how == "other descriptors":
        fds = [os.open("/dev/null", os.O_RDWR)] * len(fds)
    elif how == "dice":
        body = bytearray(body)
        for _ in range(dice.choice([1, 1, 2, 20])):
            body[dice.randrange(len(body))] = dice.choice([0, 1, 0x7f, 0x80, 0xff, dice.randrange(256)])
    return HEAD.pack(magic, version, kind, count, len(body), len(fds)) + bytes(body), fds


def forward(source, sink):
    data, rights, *_ = source.recvmsg(1 << 18, socket.CMSG_SPACE(4 * 253))
    fds = [fd for _, _, raw in rights for fd in array.array("i", raw)]
    kind = TYPES[HEAD.unpack(data[:HEAD.size])[2]] if data else None
    given = fds
    if data and source is old and (kind == step or step == "any" and dice.random() < 0.3 and
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
        errors += 1         # messages before the error are still to be read
        sources = [new]
new.close()
try:
    real.wait(20)
except subprocess.TimeoutExpired:
    real.kill()
    real.wait()
with open(said + ".new", "w") as f:
    f.write(str(real.returncode))
os.rename(said + ".new", said)
"""


def damaging(program, said, step, how, number=0):
    """Returns a program that forwards messages between the old zproxy and a real new one (program),
    and damages each message of type step ("any": some of all messages) to the new one. how: "short",
    "surplus", "one too many", "one too few", "no descriptors", "a descriptor more", "other
    descriptors", "a lie" (about its length), or "dice": random bytes, from the seed `number`. The
    exit status of the new zproxy, which never takes over, is written to the file `said`."""
    return _DAMAGING % (step, how, program, said, number)
