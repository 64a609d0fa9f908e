#include "control/tls_contexts.h"

#include <time.h>

#include "base/log.h"
#include "config/place.h"
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
static const char *why_not_valid(const struct tls_server_certificate *c)
{
    time_t now = time(NULL);
    return now >= c->not_after ? "has expired" : now < c->not_before ? "is not valid yet" : NULL;
}

static void log_invalid(const struct config_listen *conf)
{
    struct tls_server_certificate c;
    for (size_t i = 0; i < tls_server_context_count(conf->tls_context); i++) {
        struct log_line line;
        tls_server_context_certificate(conf->tls_context, i, &c);
        const char *why = why_not_valid(&c);
        if (why == NULL || !log_is_enabled(LOG_LEVEL_WARNING))
            continue;
        log_begin(&line, LOG_LEVEL_WARNING, "certificate_invalid");
        log_str(&line, "listener", conf->name);
        log_str(&line, "file", c.file);
        log_str(&line, "names", c.names);
        log_str(&line, "error", why);
        log_end(&line);
    }
}

int tls_contexts_make(struct config *conf, FILE *errors)
{
    int rc = 0;
    for (size_t i = 0; i < conf->listen_count; i++) {
        rc |= make_server(conf, i, errors, &conf->listen[i].tls_context);
        log_invalid(&conf->listen[i]);
    }
    for (size_t i = 0; i < conf->pool_count; i++)
        rc |= make_client(conf, i, errors, &conf->pool[i].tls_context);
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

void tls_contexts_print_notes(const struct config *conf, FILE *out)
{
    struct tls_server_certificate c;
    struct tls_server_context *server = NULL;
    for (size_t i = 0; i < conf->listen_count; i++) {
        if (make_server(conf, i, out, &server) < 0)
            continue; /* it was reported */
        for (size_t j = 0; j < tls_server_context_count(server); j++) {
            tls_server_context_certificate(server, j, &c);
            if (why_not_valid(&c) != NULL)
                fprintf(out, "note: [listen %s] tls_certificate: %s: the certificate %s\n",
                        conf->listen[i].name, c.file, why_not_valid(&c));
        }
        tls_server_context_free(server);
    }
}
