#include "control/tls_contexts.h"

#include <time.h>

#include "base/log.h"
#include "config/place.h"
#include "control/tls_kernel_report.h"
#include "tls/tls_client_context.h"
#include "tls/tls_server_context.h"

/* ---- made ---- */

/* A section whose context is made. */
struct section_place {
    const struct config *conf;
    enum section_kind kind;
    size_t i;
    FILE *errors;
};

static void on_problem(void *arg, const char *key, size_t item, const char *text)
{
    const struct section_place *at = arg;
    place_report(at->conf, at->kind, at->i, key, item, at->errors, "%s", text);
}

static int make_listener(struct config *conf, size_t i, FILE *errors)
{
    struct section_place at = { conf, SECTION_LISTEN, i, errors };
    const struct tls_problems p = { on_problem, &at };
    struct config_listen *listen = &conf->listen[i];
    return listen->tls ? tls_server_context_new(&listen->tls_context, listen, &p) : 0;
}

static int make_pool(struct config *conf, size_t i, FILE *errors)
{
    struct section_place at = { conf, SECTION_POOL, i, errors };
    const struct tls_problems p = { on_problem, &at };
    struct config_pool *pool = &conf->pool[i];
    return config_pool_has_tls(pool) ? tls_client_context_new(&pool->tls_context, pool, &p) : 0;
}

static int make_all(struct config *conf, FILE *errors)
{
    int rc = 0;
    for (size_t i = 0; i < conf->listen_count; i++)
        rc |= make_listener(conf, i, errors);
    for (size_t i = 0; i < conf->pool_count; i++)
        rc |= make_pool(conf, i, errors);
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

/* ---- the log ---- */

static void log_invalid(const char *kind, const char *name, const struct certificate_info *c)
{
    struct log_line line;
    const char *why = certificate_info_why_invalid(c, time(NULL));
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

int tls_contexts_make(struct config *conf, FILE *errors)
{
    int rc = tls_kernel_report_update(conf, errors) | make_all(conf, errors);
    for (size_t i = 0; i < conf->listen_count; i++)
        log_listener(&conf->listen[i]);
    for (size_t i = 0; i < conf->pool_count; i++)
        log_pool(&conf->pool[i]);
    return rc;
}

int tls_contexts_check(struct config *conf, FILE *errors)
{
    return tls_kernel_report_check(conf, errors) | make_all(conf, errors);
}
