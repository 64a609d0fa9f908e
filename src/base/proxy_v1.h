/* Version 1 of the PROXY protocol: a line of text. Used by proxy_header only. */
#ifndef ZPROXY_BASE_PROXY_V1_H
#define ZPROXY_BASE_PROXY_V1_H

#include "base/proxy_header.h"

/* As proxy_header_parse(); bytes[0] is 'P'. */
enum proxy_header_result proxy_v1_parse(struct proxy_header *h, const unsigned char *bytes,
                                        size_t n);

/* source and destination have the same family. Families other than IP are written as UNKNOWN. */
size_t proxy_v1_write(unsigned char buf[PROXY_HEADER_WRITE_MAX], const struct addr_peer *source,
                      const struct addr_peer *destination);

#endif
