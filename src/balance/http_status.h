/* The status of an HTTP answer, from its first bytes (RFC 9112, section 4; RFC 9110, 15.2). */
#ifndef ZPROXY_BALANCE_HTTP_STATUS_H
#define ZPROXY_BALANCE_HTTP_STATUS_H

#include <stddef.h>

/* Reads "HTTP/1.1 200" and the space or line end behind it; "HTTP/1.0 200" without a reason, as
 * some servers send it, is fine. Interim answers, such as 100 and 103, are passed over: the final
 * one follows. Returns its status, 101 or 200..599; 0 when it takes more bytes to tell; or -EPROTO
 * when this is not HTTP/1, told by the first byte that cannot be. */
int http_status(const char *data, size_t len);

#endif
