/* Version 2 of the PROXY protocol: a binary block. Used by proxy_header only. */
#ifndef ZPROXY_BASE_PROXY_V2_H
#define ZPROXY_BASE_PROXY_V2_H

#include "base/proxy_header.h"

/* As proxy_header_parse(); bytes[0] is CR. */
enum proxy_header_result proxy_v2_parse(struct proxy_header *h, const unsigned char *bytes,
                                        size_t n);

/* source and destination have the same family. Families other than IP and unix are written as
 * UNSPEC. */
size_t proxy_v2_write(unsigned char buf[PROXY_HEADER_WRITE_MAX], const struct addr_peer *source,
                      const struct addr_peer *destination);

/* As proxy_header_add_tls(). */
size_t proxy_v2_add_tls(unsigned char buf[PROXY_HEADER_TLS_MAX], size_t n,
                        const struct proxy_tls *tls);

/* LOCAL: a connection of the proxy itself. */
size_t proxy_v2_write_local(unsigned char buf[PROXY_HEADER_WRITE_MAX]);

#endif
