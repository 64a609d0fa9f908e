/* Version 2 of the PROXY protocol: a binary block. For proxy_header alone. */
#ifndef ZPROXY_BASE_PROXY_V2_H
#define ZPROXY_BASE_PROXY_V2_H

#include "base/proxy_header.h"

/* As proxy_header_parse(), of bytes that begin with CR. */
enum proxy_header_result proxy_v2_parse(struct proxy_header *h, const unsigned char *bytes,
                                        size_t n);

/* The two are of one family; anything but IP and unix is UNSPEC. */
size_t proxy_v2_write(unsigned char buf[PROXY_HEADER_WRITE_MAX], const struct addr_peer *source,
                      const struct addr_peer *destination);

/* LOCAL: a connection on behalf of nobody. */
size_t proxy_v2_write_local(unsigned char buf[PROXY_HEADER_WRITE_MAX]);

#endif
