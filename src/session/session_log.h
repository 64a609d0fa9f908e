/* The log lines of a session. For the worker's thread. */
#ifndef ZPROXY_SESSION_SESSION_LOG_H
#define ZPROXY_SESSION_SESSION_LOG_H

#include <stdint.h>

#include "base/human.h"
#include "session/session.h"

/* Writes the line of the access log. The client's descriptor must still be open. now: ms. */
void session_log_end(const struct session *s, enum session_end why, uint64_t now);

/* Why a connect to s->target has failed; error: positive. Returns text, or text of the session. */
#define SESSION_LOG_ERROR_MAX (2 * HUMAN_ERROR_MAX)
const char *session_log_connect_error(const struct session *s, int error,
                                      char text[SESSION_LOG_ERROR_MAX]);

/* A connect to s->target has failed; at most one line per second and server. error: positive. */
void session_log_connect_failed(const struct session *s, int error, uint64_t now);

/* A PROXY header is invalid, for the reason `why`. */
void session_log_bad_header(const struct session *s, const char *why);

/* The file of an answer could not be sent completely. error: positive; ENODATA: the file is shorter
 * than when it was opened. */
void session_log_file_failed(const struct session *s, int error);

#endif
