#include "control/tls_contexts.h"

#include <time.h>

#include "base/log.h"
#include "config/place.h"
#include "relay/relay_stock.h"
#include "tls/ktls_support.h"
#include "tls/tls_client_context.h"
#include "tls/tls_server_context.h"

static int make_client(const struct config *conf, size_t i, FILE *errors,
                       struct tls_client_context **out)
{
    const struct config_pool *pool = &conf->pool[i];
    struct tls_problem problem;
    *out = NULL;
    if (!config_pool_has_tls(pool) || tls_client_context_new(out, pool, &problem) == 0)
        return 0;
    fprintf(errors, "%s[pool %s] %s: %s\n", place_find(conf, SECTION_POOL, i, problem.key, 0),
            pool->name, problem.key, problem.text);
    return -1;
}

static int make_server(const struct config *conf, size_t i, FILE *errors,
                       struct tls_server_context **out)
{
    *out = NULL;
    return conf->listen[i].tls ? tls_server_context_new(out, conf, i, errors) : 0;
}

/* What is wrong with the time of a certificate; NULL: nothing. */
static const char *why_not_valid(const struct certificate_info *c)
{
    time_t now = time(NULL);
    return now >= c->not_after ? "has expired" : now < c->not_before ? "is not valid yet" : NULL;
}

static void log_invalid(const char *kind, const char *name, const struct certificate_info *c)
{
    struct log_line line;
    const char *why = why_not_valid(c);
    if (why == NULL || !log_is_enabled(LOG_LEVEL_WARNING))
        return;
    log_begin(&line, LOG_LEVEL_WARNING, "certificate_invalid");
    log_str(&line, kind, name);
    log_str(&line, "file", c->file);
    log_str(&line, "names", c->names);
    log_str(&line, "error", why);
    log_end(&line);
}

static void log_listener(const struct config_listen *conf)
{
    struct certificate_info c;
    for (size_t i = 0; i < tls_server_context_count(conf->tls_context); i++) {
        tls_server_context_certificate(conf->tls_context, i, &c);
        log_invalid("listener", conf->name, &c);
    }
}

static void log_pool(const struct config_pool *conf)
{
    struct certificate_info c;
    if (tls_client_context_certificate(conf->tls_context, &c))
        log_invalid("pool", conf->name, &c);
}

/* ---- TLS in the kernel ---- */

static bool wants_kernel(const struct config *conf)
{
    for (size_t i = 0; i < conf->listen_count; i++)
        if (conf->listen[i].tls && conf->listen[i].tls_limits.kernel != CONFIG_TLS_KERNEL_NO)
            return true;
    for (size_t i = 0; i < conf->pool_count; i++)
        if (conf->pool[i].tls && conf->pool[i].tls_limits.kernel != CONFIG_TLS_KERNEL_NO)
            return true;
    return false;
}

/* Why all TLS stays in user space; NULL: it does not. */
static const char *why_user(const struct config *conf)
{
    if (conf->global.fixed.relay != CONFIG_RELAY_SPLICE)
        return "relay = copy";
    if (!relay_stock_can_splice())
        return "this build or kernel cannot splice sockets";
    if (conf->global.fixed.pipe_size < (uint64_t)KTLS_RECORD_SLOTS * PIPE_PAGE)
        return "pipe_size is below 72k, the room that a record needs";
    return ktls_support()->error;
}

/* An error for a section with tls_kernel = yes. Returns 0 or -1. */
static int refuse_kernel(const struct config *conf, enum section_kind kind, size_t i,
                         const char *why, FILE *errors)
{
    bool listens = kind == SECTION_LISTEN;
    fprintf(errors, "%s[%s %s] tls_kernel: the kernel cannot have it: %s\n",
            place_find(conf, kind, i, "tls_kernel", 0), listens ? "listen" : "pool",
            listens ? conf->listen[i].name : conf->pool[i].name, why);
    return -1;
}

static int check_kernel(const struct config *conf, FILE *errors)
{
    int rc = 0;
    const char *why = why_user(conf);
    for (size_t i = 0; i < conf->listen_count && why != NULL; i++)
        if (conf->listen[i].tls && conf->listen[i].tls_limits.kernel == CONFIG_TLS_KERNEL_YES)
            rc = refuse_kernel(conf, SECTION_LISTEN, i, why, errors);
    for (size_t i = 0; i < conf->pool_count && why != NULL; i++)
        if (conf->pool[i].tls && conf->pool[i].tls_limits.kernel == CONFIG_TLS_KERNEL_YES)
            rc = refuse_kernel(conf, SECTION_POOL, i, why, errors);
    return rc;
}

static void log_kernel(const struct config *conf)
{
    const struct ktls_support *k = ktls_support();
    const char *why = why_user(conf);
    bool helps = why != NULL && why == k->error && k->advice != NULL;
    struct log_line line;
    if (!log_is_enabled(helps ? LOG_LEVEL_WARNING : LOG_LEVEL_NOTICE))
        return;
    if (helps)
        log_begin(&line, LOG_LEVEL_WARNING, "tls_kernel");
    else
        log_begin(&line, LOG_LEVEL_NOTICE, "tls_kernel");
    log_str(&line, "relay", why == NULL ? "kernel" : "user");
    if (why != NULL)
        log_str(&line, "error", why);
    if (helps)
        log_str(&line, "advice", k->advice);
    if (why == NULL && k->loses_bytes)
        log_str(&line, "note",
                "this kernel drops bytes of a record for which a pipe has no room; zproxy never "
                "splices so");
    log_str(&line, "msg",
            why == NULL ? "the kernel encrypts and decrypts, TLS sessions are spliced"
                        : "TLS sessions are relayed in user space");
    log_end(&line);
}

/* Said when it changes. */
static int try_kernel(const struct config *conf, FILE *errors)
{
    if (!wants_kernel(conf))
        return 0;
    bool changed = ktls_support_try();
    int rc = check_kernel(conf, errors);
    if (rc == 0 && changed)
        log_kernel(conf);
    return rc;
}

int tls_contexts_make(struct config *conf, FILE *errors)
{
    int rc = try_kernel(conf, errors);
    for (size_t i = 0; i < conf->listen_count; i++) {
        rc |= make_server(conf, i, errors, &conf->listen[i].tls_context);
        log_listener(&conf->listen[i]);
    }
    for (size_t i = 0; i < conf->pool_count; i++) {
        rc |= make_client(conf, i, errors, &conf->pool[i].tls_context);
        log_pool(&conf->pool[i]);
    }
    return rc;
}

void tls_contexts_free(struct config *conf)
{
    for (size_t i = 0; i < conf->listen_count; i++) {
        tls_server_context_free(conf->listen[i].tls_context);
        conf->listen[i].tls_context = NULL;
    }
    for (size_t i = 0; i < conf->pool_count; i++) {
        tls_client_context_free(conf->pool[i].tls_context);
        conf->pool[i].tls_context = NULL;
    }
}

int tls_contexts_check(const struct config *conf, FILE *errors)
{
    struct tls_client_context *context = NULL;
    struct tls_server_context *server = NULL;
    int rc = 0;
    if (wants_kernel(conf)) {
        (void)ktls_support_try();
        rc = check_kernel(conf, errors);
    }
    for (size_t i = 0; i < conf->listen_count; i++) {
        rc |= make_server(conf, i, errors, &server);
        tls_server_context_free(server);
    }
    for (size_t i = 0; i < conf->pool_count; i++) {
        rc |= make_client(conf, i, errors, &context);
        tls_client_context_free(context);
    }
    return rc;
}

const char *tls_contexts_where(const struct config *conf)
{
    const char *why = why_user(conf);
    return !wants_kernel(conf) ? NULL : why == NULL ? "usable" : why;
}

static void print_invalid(const char *kind, const char *name, const struct certificate_info *c,
                          FILE *out)
{
    if (why_not_valid(c) != NULL)
        fprintf(out, "note: [%s %s] tls_certificate: %s: the certificate %s\n", kind, name, c->file,
                why_not_valid(c));
}

static void print_listener_notes(const struct config *conf, size_t i, FILE *out)
{
    struct certificate_info c;
    struct tls_server_context *server = NULL;
    if (make_server(conf, i, out, &server) < 0)
        return; /* it was reported */
    for (size_t j = 0; j < tls_server_context_count(server); j++) {
        tls_server_context_certificate(server, j, &c);
        print_invalid("listen", conf->listen[i].name, &c, out);
    }
    tls_server_context_free(server);
}

static void print_pool_notes(const struct config *conf, size_t i, FILE *out)
{
    const struct config_pool *pool = &conf->pool[i];
    struct certificate_info c;
    struct tls_client_context *client = NULL;
    if (pool->tls && !pool->tls_verify)
        fprintf(out,
                "note: [pool %s] tls_verify = no: any program that answers at the address of a "
                "server can read and change what is relayed\n",
                pool->name);
    if (make_client(conf, i, out, &client) < 0)
        return;
    if (tls_client_context_certificate(client, &c))
        print_invalid("pool", pool->name, &c, out);
    tls_client_context_free(client);
}

void tls_contexts_print_notes(const struct config *conf, FILE *out)
{
    const struct ktls_support *k = ktls_support();
    const char *why = wants_kernel(conf) ? why_user(conf) : NULL;
    bool helps = why != NULL && why == k->error && k->advice != NULL;
    if (why != NULL)
        fprintf(out, "note: TLS is relayed in user space: %s%s%s\n", why, helps ? ": " : "",
                helps ? k->advice : "");
    for (size_t i = 0; i < conf->listen_count; i++)
        print_listener_notes(conf, i, out);
    for (size_t i = 0; i < conf->pool_count; i++)
        print_pool_notes(conf, i, out);
}
