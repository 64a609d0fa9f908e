#include "control/tls_notes.h"

#include <stdbool.h>
#include <time.h>

#include "base/hostname.h"
#include "control/tls_kernel_report.h"
#include "tls/tls_client_context.h"
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

void tls_notes_print(const struct config *conf, FILE *out)
{
    tls_kernel_report_print_note(conf, out);
    for (size_t i = 0; i < conf->listen_count; i++)
        print_listener_notes(&conf->listen[i], out);
    for (size_t i = 0; i < conf->pool_count; i++)
        print_pool_notes(&conf->pool[i], out);
}
