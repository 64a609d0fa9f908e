/* The status of an HTTP answer, from its first bytes (RFC 9112, section 4; RFC 9110, 15.2). */
#ifndef ZPROXY_BALANCE_HTTP_STATUS_H
#define ZPROXY_BALANCE_HTTP_STATUS_H

#include <stddef.h>

/* Where the next byte stands. */
enum http_position {
    HTTP_AT_STATUS,   /* an answer begins */
    HTTP_AT_FIELD,    /* a line of an interim answer's head begins */
    HTTP_WITHIN_LINE, /* a line of that head goes on */
};

/* Interim answers, such as 100 and 103, are passed over: the final one follows. Returns how many
 * bytes at the begin of data belong to them; *at tells where data begins, and then where what is
 * left begins. */
size_t http_skip_interim(enum http_position *at, const char *data, size_t len);

/* Reads "HTTP/1.1 200" and the space or line end behind it, behind interim answers; "HTTP/1.0 200"
 * without a reason, as some servers send it, is fine. Returns the final status, 101 or 200..599; 0
 * when it takes more bytes to tell; or -EPROTO when this is not HTTP/1, told by the first byte that
 * cannot be. */
int http_status(const char *data, size_t len);

#endif
