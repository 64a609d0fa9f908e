#include "control/tls_contexts.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "base/hostname.h"
#include "base/log.h"
#include "config/place.h"
#include "control/tls_kernel_report.h"
#include "tls/tls_client_context.h"
#include "tls/tls_server_context.h"
#include "tls/tls_trial.h"

#define TYPES_MAX 3 /* RSA, ECDSA, Ed25519 */

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

/* ---- notes of -t ---- */

static void print_invalid(const char *kind, const char *name, const struct certificate_info *c,
                          FILE *out)
{
    if (why_not_valid(c) != NULL)
        fprintf(out, "note: [%s %s] tls_certificate: %s: the certificate %s\n", kind, name, c->file,
                why_not_valid(c));
}

/* Versions, ciphers and the certificate may be such that no handshake succeeds. One certificate of
 * each type is tried. */
static void print_impossible(const struct config_listen *listen, const struct certificate_info *c,
                             const char **tried, FILE *out)
{
    char name[HOSTNAME_MAX + 4], why[TLS_TRIAL_MAX];
    bool is_wildcard = c->host[0] == '*';
    snprintf(name, sizeof name, "%s%s", is_wildcard ? "any" : "", c->host + is_wildcard);
    for (; *tried != NULL; tried++)
        if (*tried == c->type)
            return;
    *tried = c->type;
    if (name[0] != '\0' && !tls_trial_succeeds(listen->tls_context, name, why))
        fprintf(out, "note: [listen %s] tls: a handshake for %s fails: %s\n", listen->name, name,
                why);
}

static void print_listener_notes(const struct config_listen *listen, FILE *out)
{
    const char *tried[TYPES_MAX + 1] = { NULL };
    struct certificate_info c;
    for (size_t i = 0; i < tls_server_context_count(listen->tls_context); i++) {
        tls_server_context_certificate(listen->tls_context, i, &c);
        print_invalid("listen", listen->name, &c, out);
        print_impossible(listen, &c, tried, out);
    }
}

static void print_pool_notes(const struct config_pool *pool, FILE *out)
{
    struct certificate_info c;
    if (pool->tls && !pool->tls_verify)
        fprintf(out,
                "note: [pool %s] tls_verify = no: any program that answers at the address of a "
                "server can read and change what is relayed\n",
                pool->name);
    if (tls_client_context_certificate(pool->tls_context, &c))
        print_invalid("pool", pool->name, &c, out);
}

void tls_contexts_print_notes(const struct config *conf, FILE *out)
{
    tls_kernel_report_print_note(conf, out);
    for (size_t i = 0; i < conf->listen_count; i++)
        print_listener_notes(&conf->listen[i], out);
    for (size_t i = 0; i < conf->pool_count; i++)
        print_pool_notes(&conf->pool[i], out);
}
