/* The PROXY protocol: what a proxy in front says of a client, and what zproxy says to servers.
 *
 * After "The PROXY protocol, versions 1 & 2" of HAProxy (doc/proxy-protocol.txt, 2020/03/05).
 * Functions on bytes: nothing is allocated, nothing is kept.
 */
#ifndef ZPROXY_BASE_PROXY_HEADER_H
#define ZPROXY_BASE_PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"

/* The longest header that is taken. A line of version 1 has at most 107 bytes; a block of version 2
 * could have 64 KiB, but what proxies put into theirs is far shorter. */
#define PROXY_HEADER_MAX 4096

/* The longest header that is written: version 2 with two unix addresses. */
#define PROXY_HEADER_WRITE_MAX 232

enum proxy_header_version {
    PROXY_HEADER_V1 = 1,
    PROXY_HEADER_V2 = 2,
};

enum proxy_header_result {
    PROXY_HEADER_MORE, /* valid so far, and not yet complete */
    PROXY_HEADER_DONE,
    PROXY_HEADER_INVALID, /* whatever follows */
};

struct proxy_header {
    size_t length;      /* DONE: of the header; what follows is payload */
    bool has_addresses; /* DONE: source and destination are known. Else (LOCAL, UNKNOWN, a family or
                   a transport that is not ours to relay) the socket's own addresses hold */
    struct addr_peer source;      /* the client; AF_UNIX has no name, IPv4 never hides in IPv6 */
    struct addr_peer destination; /* what it connected to, of the same kind */
    const char *why;              /* BAD: static text for the log */
};

/* Looks at the first n bytes of a stream. An answer other than MORE is final: it does not change
 * when more bytes follow, and PROXY_HEADER_MAX bytes always give one. BAD comes with the first
 * byte, number or length that is wrong, not at the end.
 *
 * Of a block of version 2 that names its ends the TLVs must be well-formed, and a CRC32C among them
 * must be right; the other TLVs are ignored. Blocks that name nobody are skipped unread. */
enum proxy_header_result proxy_header_parse(struct proxy_header *h, const void *bytes, size_t n);

/* Writes the header for a client that came to destination. Its family is the client's: where the
 * two differ, IPv4 goes as ::ffff:1.2.3.4, and a destination that is no IP address as 0.0.0.0:0 or
 * [::]:0. A client of a unix socket is UNKNOWN in version 1, AF_UNIX without names in version 2.
 * Scopes of IPv6 cannot be said. Returns its length. */
size_t proxy_header_write(unsigned char buf[PROXY_HEADER_WRITE_MAX], enum proxy_header_version v,
                          const struct addr_peer *client, const struct addr_peer *destination);

/* Writes the header for a connection of zproxy's own, a health check: LOCAL in version 2, and in
 * version 1, which has no such word, the connection's own ends. Returns its length. */
size_t proxy_header_write_local(unsigned char buf[PROXY_HEADER_WRITE_MAX],
                                enum proxy_header_version v, const struct addr_peer *own,
                                const struct addr_peer *server);

#endif
