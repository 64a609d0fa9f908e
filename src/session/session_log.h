/* What the log says of a session. */
#ifndef ZPROXY_SESSION_SESSION_LOG_H
#define ZPROXY_SESSION_SESSION_LOG_H

#include <stdint.h>

#include "session/session.h"

/* The closing line; the client's descriptor is still open. now in ms. */
void session_log_end(const struct session *s, enum session_end why, uint64_t now);

/* A failed attempt on s->target, held to one line a second per server. error: positive. */
void session_log_connect_failed(const struct session *s, int error, uint64_t now);

/* A PROXY header that cannot become valid, and why. */
void session_log_bad_header(const struct session *s, const char *why);

/* The answer could not be sent to its end. error: positive; ENODATA: the file is shorter than when
 * it was opened. */
void session_log_file_failed(const struct session *s, int error);

#endif
