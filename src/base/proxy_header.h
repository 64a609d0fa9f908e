/* Headers of the PROXY protocol, by which a proxy tells a server the address of the client: parsing
 * and writing, versions 1 and 2.
 *
 * "The PROXY protocol, versions 1 & 2" of HAProxy (doc/proxy-protocol.txt, 2020/03/05). The
 * functions allocate nothing and keep no state.
 */
#ifndef ZPROXY_BASE_PROXY_HEADER_H
#define ZPROXY_BASE_PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"

/* The longest header that is accepted. A line of version 1 has at most 107 bytes. A block of
 * version 2 could have 64 KiB; those of real proxies are far shorter. */
#define PROXY_HEADER_MAX 4096

/* The longest header that zproxy writes: version 2 with two unix addresses. */
#define PROXY_HEADER_WRITE_MAX 232

enum proxy_header_version {
    PROXY_HEADER_V1 = 1,
    PROXY_HEADER_V2 = 2,
};

enum proxy_header_result {
    PROXY_HEADER_MORE, /* valid so far, but not complete */
    PROXY_HEADER_DONE,
    PROXY_HEADER_INVALID,
};

struct proxy_header {
    size_t length;      /* DONE: of the header; payload follows */
    bool has_addresses; /* DONE: source and destination are set. Otherwise (LOCAL, UNKNOWN, or a
                           family or transport that zproxy does not relay) the addresses of the
                           connection itself apply */
    struct addr_peer source;      /* the client; IPv4-mapped IPv6 becomes IPv4 */
    struct addr_peer destination; /* the address that the client connected to */
    const char *why;              /* INVALID: static text for the log */
};

/* Parses the first n bytes of a stream. A result other than MORE is final: further bytes do not
 * change it, and PROXY_HEADER_MAX bytes always suffice for one. INVALID is returned for the first
 * wrong byte, number or length, before the header is complete.
 *
 * In a block of version 2 with addresses the TLVs must be well-formed, and a CRC32C TLV must match;
 * other TLVs are ignored. A block without addresses is skipped unread. */
enum proxy_header_result proxy_header_parse(struct proxy_header *h, const void *bytes, size_t n);

/* Writes the header for a client that connected to destination, in the family of the client. If the
 * families differ, both are written as IPv6, IPv4 as ::ffff:1.2.3.4; a destination that is not an
 * IP address is written as 0.0.0.0:0 or [::]:0. A client of a unix socket is UNKNOWN in version 1,
 * and AF_UNIX with empty paths in version 2. The protocol has no field for scopes of IPv6. Returns
 * the length. */
size_t proxy_header_write(unsigned char buf[PROXY_HEADER_WRITE_MAX], enum proxy_header_version v,
                          const struct addr_peer *client, const struct addr_peer *destination);

/* What a header of version 2 says of the client's TLS, if that ended here. */
struct proxy_tls {
    const char *version; /* "TLSv1.3" */
    const char *cipher;
    const char *name;        /* in the client's hello; "": none */
    const char *protocol;    /* of ALPN that was agreed; "": none */
    bool has_certificate;    /* the client has one, which was verified */
    bool is_resumed;         /* it was shown in an earlier connection */
    const char *common_name; /* of the certificate; "": none */
};

/* Room for a header with what proxy_header_add_tls() adds. */
#define PROXY_HEADER_TLS_MAX 1536

/* Adds that to a header of version 2, of n bytes: the TLVs PP2_TYPE_ALPN, PP2_TYPE_AUTHORITY and
 * PP2_TYPE_SSL. Returns the length. */
size_t proxy_header_add_tls(unsigned char buf[PROXY_HEADER_TLS_MAX], size_t n,
                            const struct proxy_tls *tls);

/* Writes the header for a health check: LOCAL in version 2; in version 1, which has no such
 * command, the addresses of the connection itself. Returns the length. */
size_t proxy_header_write_local(unsigned char buf[PROXY_HEADER_WRITE_MAX],
                                enum proxy_header_version v, const struct addr_peer *own,
                                const struct addr_peer *server);

#endif
