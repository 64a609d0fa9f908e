#include "session/session_log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/capability.h"
#include "base/human.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "session/preread_info.h"
#include "session/session_addr.h"
#include "tls/tls_side.h"

/* getsockname(2) succeeds on any open socket, also after a reset. */
static void log_local(struct log_line *line, const struct session *s)
{
    struct addr at;
    char text[ADDR_TEXT_MAX];
    if (!session_addr_local(s, &at))
        return;
    if (at.sa.sa_family == AF_UNIX) {
        log_str(line, "local", addr_print(&at, text));
        return;
    }
    struct addr_peer local; /* prints an IPv4 address of a dual socket as IPv4 */
    addr_peer_set(&local, &at.sa, at.len);
    log_str(line, "local", addr_peer_print(&local, text));
}

/* The source address that the server sees and logs. */
static void log_from(struct log_line *line, const struct session *s)
{
    struct addr at = { .len = sizeof at.un };
    char text[ADDR_TEXT_MAX];
    if (s->connected != 0 && s->server.fd != -1 &&
        getsockname(s->server.fd, &at.sa, &at.len) == 0 && at.sa.sa_family != AF_UNIX)
        log_str(line, "from", addr_print(&at, text));
}

static void log_number_if_nonzero(struct log_line *line, const char *key, uint64_t number)
{
    if (number != 0)
        log_uint(line, key, number);
}

static void log_text_if_any(struct log_line *line, const char *key, const char *text)
{
    if (text[0] != '\0')
        log_str(line, key, text);
}

/* The results and the duration of the preread. */
static void log_times(struct log_line *line, const struct session *s, uint64_t now)
{
    uint64_t total = (s->connected != 0 ? s->connected : now) - s->began;
    uint64_t preread = s->preread != NULL ? s->preread->ms : 0;
    uint64_t queued = s->queued_ms + (s->wait != NULL ? now - s->wait->began : 0);
    uint64_t before = preread + queued;
    log_number_if_nonzero(line, "preread_ms", preread);
    log_number_if_nonzero(line, "queue_ms", queued);
    log_uint(line, "connect_ms", total > before ? total - before : 0);
}

static void log_server(struct log_line *line, const struct session *s, bool reached)
{
    char text[ADDR_TEXT_MAX];
    if (!reached) {
        log_str(line, "server", "-");
        log_str(line, "server_addr", "-");
        return;
    }
    const struct addr at = session_addr_server(s);
    log_str(line, "server", server_name(s->target));
    log_str(line, "server_addr", addr_print(&at, text));
}

/* What was agreed with a peer, and where its records are encrypted. */
static void log_agreed(struct log_line *line, const struct side *sd, const char *version,
                       const char *cipher, const char *relay)
{
    if (sd->tls == NULL || sd->tls->version == 0)
        return;
    log_str(line, version, tls_cipher_version_name(sd->tls->version));
    log_str(line, cipher, sd->tls->cipher);
    log_str(line, relay, side_is(sd, SIDE_KTLS) ? "kernel" : "user");
}

static void log_tls(struct log_line *line, const struct session *s)
{
    log_agreed(line, &s->client, "tls", "cipher", "tls_relay");
    log_agreed(line, &s->server, "tls_server", "tls_server_cipher", "tls_server_relay");
}

static bool is_end_by_server(enum session_end why)
{
    return why == SESSION_END_SERVER_FIN || why == SESSION_END_SERVER_RESET ||
           why == SESSION_END_CONNECT_FAILED || why == SESSION_END_CONNECT_TIMEOUT;
}

/* Why TLS has failed, and with which peer: if with both, then with the one that ended the session.
 * The error of a server belongs to this line only if the session was connected to it, or ended
 * because it was not. */
static void log_tls_error(struct log_line *line, const struct session *s, enum session_end why)
{
    bool by_server = is_end_by_server(why);
    const char *client = s->client.tls == NULL ? NULL : s->client.tls->error;
    const char *server =
        s->server.tls == NULL || (s->connected == 0 && !by_server) ? NULL : s->server.tls->error;
    bool of_server = server != NULL && (by_server || client == NULL);
    if (client == NULL && server == NULL)
        return;
    log_str(line, "error", of_server ? server : client);
    log_str(line, "error_side", of_server ? "server" : "client");
}

void session_log_end(const struct session *s, enum session_end why, uint64_t now)
{
    if (!log_access_is_enabled())
        return;
    struct log_line line;
    char text[ADDR_TEXT_MAX];
    log_begin_access(&line);
    log_uint(&line, "id", s->id);
    log_str(&line, "listener", s->frontend->conf->name);
    log_local(&line, s);
    log_str(&line, "client", addr_peer_print(&s->client_addr, text));
    if (s->proxy_info != NULL)
        log_str(&line, "peer", addr_peer_print(&s->proxy_info->peer, text));
    log_str(&line, "pool", pool_name(s->pool));
    log_server(&line, s, s->connected != 0 && s->target != NULL);
    log_from(&line, s);
    if (s->preread != NULL) {
        log_text_if_any(&line, "sni", s->preread->text);
        log_text_if_any(&line, "alpn", s->preread->alpn);
    }
    log_tls(&line, s);
    log_uint(&line, "up", s->up.bytes);
    log_uint(&line, "down", s->down.bytes);
    log_times(&line, s, now);
    log_uint(&line, "duration_ms", now - s->began);
    log_uint(&line, "attempts", s->attempts);
    log_str(&line, "end", session_end_name(why));
    log_tls_error(&line, s, why);
    log_end(&line);
}

/* The cause is on this machine, and EPERM does not say which capability is missing. */
static const char *reason_of(const struct session *s, int error, char text[HUMAN_ERROR_MAX])
{
    bool lacks = error == EPERM && pool_conf(s->pool)->source.kind == CONFIG_SOURCE_CLIENT &&
                 !capability_has_transparent();
    return lacks ? "source = client needs CAP_NET_RAW" : human_connection_error(error, text);
}

const char *session_log_connect_error(const struct session *s, int error,
                                      char text[SESSION_LOG_ERROR_MAX])
{
    const struct tls_side *t = s->server.tls;
    const struct addr to = session_addr_server(s);
    char reason[HUMAN_ERROR_MAX];
    if (t != NULL && t->error != NULL)
        return t->error;
    snprintf(text, SESSION_LOG_ERROR_MAX, "%s%s", reason_of(s, error, reason),
             sandbox_hint(&to, error));
    return text;
}

void session_log_connect_failed(const struct session *s, int error, uint64_t now)
{
    struct log_line line;
    char text[SESSION_LOG_ERROR_MAX];
    uint64_t suppressed = 0;
    if (!log_is_enabled(LOG_LEVEL_WARNING) || !server_may_log(s->target, now, &suppressed))
        return;
    log_begin(&line, LOG_LEVEL_WARNING, "connect_failed");
    log_uint(&line, "id", s->id);
    log_str(&line, "pool", pool_name(s->pool));
    log_server(&line, s, true);
    log_str(&line, "error", session_log_connect_error(s, error, text));
    if (suppressed > 0)
        log_uint(&line, "suppressed", suppressed);
    log_end(&line);
}

void session_log_file_failed(const struct session *s, int error)
{
    struct log_line line;
    char text[HUMAN_ERROR_MAX];
    if (!log_is_enabled(LOG_LEVEL_ERROR))
        return;
    log_begin(&line, LOG_LEVEL_ERROR, "file_failed");
    log_uint(&line, "id", s->id);
    log_str(&line, "pool", pool_name(s->pool));
    log_str(&line, "file", s->file->path);
    log_uint(&line, "length", (uint64_t)s->file->length);
    log_uint(&line, "sent", s->down.bytes);
    log_str(&line, "error",
            error == ENODATA ? "shorter than when it was opened" : human_error(error, text));
    log_end(&line);
}

void session_log_bad_header(const struct session *s, const char *why)
{
    struct log_line line;
    char text[ADDR_TEXT_MAX];
    if (!log_is_enabled(LOG_LEVEL_NOTICE))
        return;
    log_begin(&line, LOG_LEVEL_NOTICE, "bad_proxy_header");
    log_uint(&line, "id", s->id);
    log_str(&line, "listener", s->frontend->conf->name);
    log_str(&line, "peer", addr_peer_print(&s->client_addr, text));
    log_str(&line, "error", why);
    log_end(&line);
}
