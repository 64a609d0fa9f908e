"""The first bytes of a connection: PROXY headers, and hellos of TLS clients."""

import socket
import ssl
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TLV_CRC32C, TLV_NOOP = 0x03, 0x04


def line(client, destination):
    """Returns a header of version 1; client and destination are (host, port)."""
    family = "TCP6" if ":" in client[0] else "TCP4"
    return (f"PROXY {family} {client[0]} {destination[0]} {client[1]} {destination[1]}\r\n"
            .encode())


UNKNOWN = b"PROXY UNKNOWN\r\n"


def _crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def block(client=None, destination=None, tlvs=b"", checksum=False):
    """Returns a header of version 2, LOCAL without a client; addresses are (host, port) or the path
    of a unix socket."""
    if client is None:
        kind, addresses = 0x00, b""
    elif isinstance(client, str):
        kind, addresses = 0x31, struct.pack("108s108s", client.encode(), destination.encode())
    else:
        family = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
        kind = 0x21 if family == socket.AF_INET6 else 0x11
        addresses = (socket.inet_pton(family, client[0]) + socket.inet_pton(family, destination[0])
                     + struct.pack("!HH", client[1], destination[1]))
    command = 0x20 if client is None else 0x21
    if checksum:
        tlvs += tlv(TLV_CRC32C, b"\0\0\0\0")
    head = SIGNATURE + struct.pack("!BBH", command, kind, len(addresses) + len(tlvs))
    header = head + addresses + tlvs
    if checksum:
        header = header[:-4] + struct.pack("!I", _crc32c(header))
    return header


def hello(name=None, alpn=(), more=0):
    """Returns the hello of a TLS client of OpenSSL; more: bytes by which its list of protocols is
    made longer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    protocols = [*alpn, *("x%0254d" % n for n in range(more // 256))]
    if protocols:
        context.set_alpn_protocols(protocols)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()
