/* Parses the hello of a TLS client: the name of the server, and the protocols (ALPN).
 *
 * TLS is not terminated: the hello is peeked at and then relayed unchanged. RFC 8446 (TLS 1.3),
 * section 4.1.2 and 5.1; RFC 6066, section 3 (server name); RFC 7301 (ALPN).
 */
#ifndef ZPROXY_SESSION_HELLO_H
#define ZPROXY_SESSION_HELLO_H

#include <stddef.h>
#include <stdint.h>

#include "base/hostname.h"

/* The longest hello that is parsed, with its handshake header; and the most bytes of the stream
 * that it may take with the headers of its records. They stay in the socket until the hello is
 * complete. */
#define HELLO_MAX        16384
#define HELLO_STREAM_MAX 32768

/* Room for the protocols of a client. Those that do not fit are left out; browsers send 14 bytes.
 */
#define HELLO_ALPN_MAX 256

enum hello_result {
    HELLO_MORE, /* the beginning of a hello, and not enough of it */
    HELLO_DONE,
    HELLO_NOT_TLS,   /* no TLS record; hellos of SSL 2.0 are none */
    HELLO_MALFORMED, /* TLS, but not a hello that a server would take */
    HELLO_TOO_LONG,  /* longer than HELLO_MAX, or in records so short that they are too many */
};

struct hello {
    char name[HOSTNAME_MAX + 1]; /* lower case, no dot at the end; "": the client named no server */
    uint16_t alpn_size;
    unsigned char alpn[HELLO_ALPN_MAX]; /* for each protocol a byte with its length, then itself */
};

/* Parses the first n bytes of a stream: a hello of any version of TLS, in any number of records. A
 * result other than HELLO_MORE is final: it does not change with more bytes. HELLO_STREAM_MAX bytes
 * always give a final result. HELLO_DONE is returned as soon as name and protocols are known, or
 * known to be absent; the rest of the hello is not parsed. *hello is valid after HELLO_DONE only.
 */
enum hello_result hello_parse(struct hello *hello, const void *bytes, size_t n);

#endif
