/* The status of an HTTP answer, from its first bytes (RFC 9112, section 4; RFC 9110, 15.2). */
#ifndef ZPROXY_BALANCE_HTTP_STATUS_H
#define ZPROXY_BALANCE_HTTP_STATUS_H

#include <stddef.h>

/* What the next byte belongs to. */
enum http_position {
    HTTP_AT_STATUS,   /* the start of an answer */
    HTTP_AT_FIELD,    /* the start of a header line of an interim answer */
    HTTP_WITHIN_LINE, /* the rest of a line of that header */
};

/* Skips interim answers, such as 100 and 103, which precede the final one. Returns the number of
 * bytes that belong to them. *at: position at the start of data; updated to the position after the
 * skipped bytes. */
size_t http_skip_interim(enum http_position *at, const char *data, size_t len);

/* Reads "HTTP/1.1 200" and the following space or line end, after interim answers. A status line
 * without a reason phrase, which some servers send, is accepted. Returns the final status, 101 or
 * 200..599; 0 if more bytes are needed; or -EPROTO from the first byte that is not HTTP/1. */
int http_status(const char *data, size_t len);

#endif
