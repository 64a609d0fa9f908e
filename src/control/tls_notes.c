#include "control/tls_notes.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/hostname.h"
#include "config/place.h"
#include "control/tls_kernel_report.h"
#include "tls/tls_client_context.h"
#include "tls/tls_limits.h"
#include "tls/tls_server_context.h"
#include "tls/tls_trial.h"

#define TYPES_MAX 3 /* RSA, ECDSA, Ed25519 */

static void print_invalid(const char *kind, const char *name, const struct certificate_info *c,
                          FILE *out)
{
    const char *why = certificate_info_why_invalid(c, time(NULL));
    if (why != NULL)
        fprintf(out, "note: [%s %s] tls_certificate: %s: the certificate %s\n", kind, name, c->file,
                why);
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

/* ---- keys without effect ---- */

/* A section whose keys are looked at. */
struct noted_section {
    const struct config *conf;
    enum section_kind kind;
    size_t i;
    const char *type;
    const char *name;
    FILE *out;
};

static void print_unknown(void *arg, const char *key, const char *word)
{
    const struct noted_section *s = arg;
    fprintf(s->out,
            "note: [%s %s] %s: OpenSSL has no cipher \"%s\" for TLS %s, and leaves it out\n",
            s->type, s->name, key, word, strcmp(key, "tls_ciphers") == 0 ? "1.2" : "1.3");
}

/* What [defaults] gives is meant for other sections. */
static void print_unused(const struct noted_section *s, const char *key, const char *why)
{
    if (place_is_given(s->conf, s->kind, s->i, key))
        fprintf(s->out, "note: [%s %s] %s: has no effect with %s\n", s->type, s->name, key, why);
}

static void print_limits_notes(struct noted_section s, const struct config_tls *limits)
{
    tls_limits_find_unknown(limits, print_unknown, &s);
    if (limits->min == CONFIG_TLS_1_3)
        print_unused(&s, "tls_ciphers", "tls_min = 1.3: it is for TLS 1.2");
    if (limits->max == CONFIG_TLS_1_2)
        print_unused(&s, "tls_ciphersuites", "tls_max = 1.2: it is for TLS 1.3");
}

static void print_name_note(const struct config_listen *listen, const char *name, FILE *out)
{
    struct certificate_info first;
    if (tls_server_context_covers(listen->tls_context, name))
        return;
    tls_server_context_certificate(listen->tls_context, 0, &first);
    fprintf(out, "note: [listen %s] route: sni=%s: no certificate is for this name, ", listen->name,
            name);
    if (listen->tls_unknown_name == CONFIG_UNKNOWN_NAME_REJECT)
        fputs("and tls_unknown_name = reject refuses it\n", out);
    else
        fprintf(out, "so clients get the first one, for %s\n", first.names);
}

static void print_protocol_note(const struct config_listen *listen, const char *name, FILE *out)
{
    const struct config_tls *limits = &listen->tls_limits;
    for (size_t i = 0; i < limits->alpn_count; i++)
        if (strcasecmp(limits->alpn[i], name) == 0)
            return;
    fprintf(out, "note: [listen %s] route: alpn=%s: is never agreed without tls_alpn = %s\n",
            listen->name, name, name);
}

static void print_route_notes(const struct config_listen *listen, FILE *out)
{
    for (const struct config_route *r = listen->route; r < listen->route + listen->route_count;
         r++) {
        for (size_t i = 0; i < r->sni.count; i++)
            print_name_note(listen, r->sni.word[i], out);
        for (size_t i = 0; i < r->alpn.count; i++)
            print_protocol_note(listen, r->alpn.word[i], out);
    }
}

/* ---- sections ---- */

static void print_listener_notes(const struct config_listen *listen, FILE *out)
{
    const char *tried[TYPES_MAX + 1] = { NULL };
    struct certificate_info c;
    for (size_t i = 0; i < tls_server_context_count(listen->tls_context); i++) {
        tls_server_context_certificate(listen->tls_context, i, &c);
        print_invalid("listen", listen->name, &c, out);
        print_impossible(listen, &c, tried, out);
    }
    if (listen->tls)
        print_route_notes(listen, out);
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

void tls_notes_print(const struct config *conf, FILE *out)
{
    tls_kernel_report_print_note(conf, out);
    for (size_t i = 0; i < conf->listen_count; i++) {
        const struct config_listen *listen = &conf->listen[i];
        print_listener_notes(listen, out);
        print_limits_notes((struct noted_section){ conf, SECTION_LISTEN, i, "listen", listen->name,
                                                   out },
                           &listen->tls_limits);
    }
    for (size_t i = 0; i < conf->pool_count; i++) {
        const struct config_pool *pool = &conf->pool[i];
        print_pool_notes(pool, out);
        print_limits_notes((struct noted_section){ conf, SECTION_POOL, i, "pool", pool->name, out },
                           &pool->tls_limits);
    }
}
