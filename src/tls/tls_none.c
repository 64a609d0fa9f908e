/* The modules of this folder in a build without OpenSSL. */
#include <errno.h>

#include "tls/tls_client_context.h"
#include "tls/tls_error.h"
#include "tls/tls_keys.h"
#include "tls/tls_limits.h"
#include "tls/tls_server_context.h"
#include "tls/tls_session_cache.h"
#include "tls/tls_stream.h"
#include "tls/tls_trial.h"

int tls_keys_get(struct ssl_st *ssl, struct tls_keys keys[TLS_DIRECTIONS])
{
    (void)ssl, (void)keys;
    return -EOPNOTSUPP;
}

int tls_keys_update(struct tls_keys *keys)
{
    (void)keys;
    return -ENOKEY;
}

/* ---- tls_client_context ---- */

int tls_client_context_new(struct tls_client_context **out, const struct config_pool *conf,
                           const struct tls_problems *p)
{
    *out = NULL;
    return tls_problem(p, conf->check_tls == CONFIG_CHECK_TLS_YES ? "check_tls" : "tls", 0,
                       "this zproxy was built without OpenSSL");
}

bool tls_client_context_certificate(const struct tls_client_context *c,
                                    struct certificate_info *out)
{
    (void)c, (void)out;
    return false;
}

void tls_client_context_free(struct tls_client_context *c)
{
    (void)c;
}

struct tls_stream *tls_client_context_connect(struct tls_client_context *c, int fd,
                                              const struct tls_client_peer *peer)
{
    (void)c, (void)fd, (void)peer;
    return NULL;
}

void tls_client_context_files(const struct tls_client_context *c, tls_file_fn *fn, void *arg)
{
    (void)c, (void)fn, (void)arg;
}

/* ---- tls_session_cache ---- */

struct tls_session_cache *tls_session_cache_new(void)
{
    return NULL;
}

void tls_session_cache_free(struct tls_session_cache *c)
{
    (void)c;
}

/* ---- tls_server_context ---- */

const char *tls_error_control(const struct tls_control_reader *r, char buf[TLS_ERROR_MAX])
{
    (void)r, (void)buf;
    return "";
}

const char *tls_library_version(void)
{
    return "no (not in this build)";
}

int tls_server_context_new(struct tls_server_context **out, const struct config_listen *conf,
                           const struct tls_problems *p)
{
    (void)conf;
    *out = NULL;
    return tls_problem(p, "tls", 0, "this zproxy was built without OpenSSL");
}

void tls_server_context_free(struct tls_server_context *c)
{
    (void)c;
}

struct tls_stream *tls_server_context_accept(const struct tls_server_context *c, int fd)
{
    (void)c, (void)fd;
    return NULL;
}

void tls_server_context_count_use(struct tls_server_context *c, struct tls_stream *stream)
{
    (void)c, (void)stream;
}

size_t tls_server_context_count(const struct tls_server_context *c)
{
    (void)c;
    return 0;
}

void tls_server_context_certificate(const struct tls_server_context *c, size_t i,
                                    struct certificate_info *out)
{
    (void)c, (void)i;
    *out = (struct certificate_info){ .file = "", .names = "", .host = "", .type = "" };
}

bool tls_server_context_covers(const struct tls_server_context *c, const char *pattern)
{
    (void)c, (void)pattern;
    return true;
}

void tls_limits_find_unknown(const struct config_tls *limits, tls_limits_unknown_fn *fn, void *arg)
{
    (void)limits, (void)fn, (void)arg;
}

void tls_server_context_files(const struct tls_server_context *c, tls_file_fn *fn, void *arg)
{
    (void)c, (void)fn, (void)arg;
}

bool tls_trial_succeeds(const struct tls_server_context *c, const char *name,
                        char why[TLS_TRIAL_MAX])
{
    (void)c, (void)name, (void)why;
    return true;
}

/* ---- tls_stream: there are none ---- */

void tls_stream_free(struct tls_stream *s)
{
    (void)s;
}

int tls_stream_handshake(struct tls_stream *s)
{
    (void)s;
    return -EOPNOTSUPP;
}

ssize_t tls_stream_read(struct tls_stream *s, void *data, size_t size)
{
    (void)s, (void)data, (void)size;
    return -EOPNOTSUPP;
}

int tls_stream_write(struct tls_stream *s, const void *data, size_t size)
{
    (void)s, (void)data, (void)size;
    return -EOPNOTSUPP;
}

int tls_stream_flush(struct tls_stream *s)
{
    (void)s;
    return 0;
}

bool tls_stream_has_rest(const struct tls_stream *s)
{
    (void)s;
    return false;
}

size_t tls_stream_rest(const struct tls_stream *s)
{
    (void)s;
    return 0;
}

void tls_stream_trim(struct tls_stream *s)
{
    (void)s;
}

bool tls_stream_has_pending(const struct tls_stream *s)
{
    (void)s;
    return false;
}

int tls_stream_has_ended(struct tls_stream *s)
{
    (void)s;
    return 0;
}

int tls_stream_close(struct tls_stream *s)
{
    (void)s;
    return -EOPNOTSUPP;
}

const char *tls_stream_why(const struct tls_stream *s)
{
    (void)s;
    return "";
}

struct tls_stream *tls_stream_new(struct ssl_ctx_st *ctx, int fd, bool server)
{
    (void)ctx, (void)fd, (void)server;
    return NULL;
}

uint16_t tls_stream_version(const struct tls_stream *s)
{
    (void)s;
    return 0;
}

const char *tls_stream_cipher(const struct tls_stream *s)
{
    (void)s;
    return "";
}

bool tls_stream_has_received(const struct tls_stream *s)
{
    (void)s;
    return false;
}

bool tls_stream_is_resumed(const struct tls_stream *s)
{
    (void)s;
    return false;
}

const char *tls_stream_server_name(const struct tls_stream *s)
{
    (void)s;
    return "";
}

const unsigned char *tls_stream_alpn(const struct tls_stream *s, size_t *size)
{
    (void)s;
    *size = 0;
    return NULL;
}

bool tls_stream_peer_name(const struct tls_stream *s, char name[TLS_STREAM_NAME_MAX])
{
    (void)s;
    name[0] = '\0';
    return false;
}

struct ssl_st *tls_stream_ssl(struct tls_stream *s)
{
    (void)s;
    return NULL;
}

bool tls_stream_is_drained(const struct tls_stream *s)
{
    (void)s;
    return false;
}

bool tls_stream_has_received_bytes(struct tls_stream *s)
{
    (void)s;
    return false;
}

void tls_stream_read_ahead(struct tls_stream *s)
{
    (void)s;
}

void tls_stream_stay(struct tls_stream *s)
{
    (void)s;
}
