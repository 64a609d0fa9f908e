#include "config/check.h"

#include <stdlib.h>
#include <string.h>

#include "config/variable.h"

/* --- One key --- */

/* Whether the i-th section of a kind gives the key itself, not by [defaults]. */
static bool check_key_given(const struct load *l, enum section_kind kind, size_t i, const char *key)
{
    return load_origin(l, kind, i, key)->given.line > 0;
}

/* Reports an error of a key, at the place of the key or of its section. */
static void check_key_report(const struct load *l, enum section_kind kind, size_t i,
                             const char *key, const char *what)
{
    char label[KEYS_LABEL_MAX];
    report_error(l->report, load_location(l, kind, i, key), load_label(l, kind, i, label), key,
                 "%s", what);
}

/* A list is at its default while it is empty. */
static bool is_at_default(const struct key *k, const void *at)
{
    if (keys_item_count(k, at) == 0)
        return true;
    if (k->default_value == NULL)
        return false;
    char *text = value_to_string(&k->value, keys_item(k, at, 0));
    bool same = text == NULL || strcmp(text, k->default_value) == 0;
    free(text);
    return same;
}

static void set_default(const struct load *l, const struct section *s, const struct key *k,
                        void *at)
{
    const struct location file = { l->path, 0 };
    struct value_error ignored;
    raw_text_remove(l->config, s, at, k);
    if (k->list.size > 0) {
        keys_items_clear(k, at);
        return;
    }
    void *item = keys_item(k, at, 0);
    value_free(&k->value, item);
    if (k->default_value != NULL && value_parse(&k->value, item, k->default_value, &ignored) < 0)
        report_error(l->report, file, NULL, NULL, "out of memory");
}

/* For a key that has no effect, for the reason `why`. If the section gives it, and not its default,
 * that is an error. If [defaults] gave it, it was meant for other sections and is set to its own
 * default: so the output of config_print() has no such errors. */
static void check_key_unused(const struct load *l, enum section_kind kind, size_t i,
                             const struct key *k, const char *why)
{
    void *at = keys_section_at(&keys_sections[kind], l->config, i);
    if (is_at_default(k, at))
        return;
    if (check_key_given(l, kind, i, k->name))
        check_key_report(l, kind, i, k->name, why);
    else
        set_default(l, &keys_sections[kind], k, at);
}

static void check_key_unused_named(const struct load *l, enum section_kind kind, size_t i,
                                   const char *key, const char *why)
{
    check_key_unused(l, kind, i, keys_find(&keys_sections[kind], key), why);
}

/* --- Keys of TLS in [listen] and [pool] --- */

static void check_versions(const struct load *l, enum section_kind kind, size_t i,
                           const struct config_tls *tls)
{
    if (tls->min > tls->max)
        check_key_report(l, kind, i, check_key_given(l, kind, i, "tls_min") ? "tls_min" : "tls_max",
                         "tls_min is above tls_max, expected no higher version");
}

static void check_protocols(const struct load *l, enum section_kind kind, size_t i,
                            const struct config_tls *tls)
{
    size_t size = 0;
    char what[128];
    for (size_t n = 0; n < tls->alpn_count; n++)
        size += 1 + strlen(tls->alpn[n]);
    snprintf(what, sizeof what,
             "%zu bytes with one for each protocol, expected at most %d for all of them", size,
             CONFIG_ALPN_MAX);
    if (size > CONFIG_ALPN_MAX)
        check_key_report(l, kind, i, "tls_alpn", what);
}

static void check_agreed(const struct load *l, enum section_kind kind, size_t i,
                         const struct config_tls *tls)
{
    check_versions(l, kind, i, tls);
    check_protocols(l, kind, i, tls);
}

/* --- [listen] --- */

static void check_listen_tls(const struct load *l, size_t i)
{
    static const char *const keys[] = {
        "tls_certificate",   "tls_min",          "tls_max",     "tls_ciphers",
        "tls_ciphersuites",  "tls_groups",       "tls_alpn",    "tls_client_ca",
        "tls_verify_client", "tls_unknown_name", "tls_tickets", "tls_ticket_key",
        "tls_kernel",
    };
    const struct config_listen *listen = &l->config->listen[i];
    for (size_t k = 0; k < sizeof keys / sizeof *keys && !listen->tls; k++)
        check_key_unused_named(l, SECTION_LISTEN, i, keys[k], "has no effect without tls = yes");
    if (!listen->tls)
        return;
    if (listen->tls_certificate_count == 0 &&
        !check_key_given(l, SECTION_LISTEN, i, "tls_certificate"))
        check_key_report(l, SECTION_LISTEN, i, "tls",
                         "needs tls_certificate, expected a file with certificate and key");
    check_agreed(l, SECTION_LISTEN, i, &listen->tls_limits);
    if (listen->tls_verify_client != CONFIG_VERIFY_CLIENT_NO && listen->tls_client_ca == NULL)
        check_key_report(l, SECTION_LISTEN, i, "tls_verify_client",
                         "needs tls_client_ca, expected a file with the CAs of clients");
    if (listen->tls_verify_client == CONFIG_VERIFY_CLIENT_NO)
        check_key_unused_named(l, SECTION_LISTEN, i, "tls_client_ca",
                               "has no effect without tls_verify_client");
    if (!listen->tls_tickets)
        check_key_unused_named(l, SECTION_LISTEN, i, "tls_ticket_key",
                               "has no effect without tls_tickets = yes");
}

void check_listen(const struct load *l, size_t i)
{
    const struct config_listen *listen = &l->config->listen[i];
    const char *accept = "accept_proxy";
    const char *trusted = "trusted_proxies";
    if (!listen->accept_proxy)
        check_key_unused_named(l, SECTION_LISTEN, i, trusted,
                               "has no effect without accept_proxy = yes");
    else if (listen->trusted_proxy_count == 0 && !check_key_given(l, SECTION_LISTEN, i, trusted))
        check_key_report(
            l, SECTION_LISTEN, i, accept,
            "needs trusted_proxies, expected the networks whose headers are trusted, or all");
    check_listen_tls(l, i);
}

static void report_key(const struct load *l, size_t i, const char *key, const char *what)
{
    check_key_report(l, SECTION_POOL, i, key, what);
}

static bool is_given(const struct load *l, size_t i, const char *key)
{
    return check_key_given(l, SECTION_POOL, i, key);
}

/* --- [pool]: keys without effect beside others --- */

static bool is_hashed(const struct config_pool *p)
{
    return p->balance == CONFIG_BALANCE_HASH;
}

static bool is_sent_to(const struct config_pool *p)
{
    return p->check == CONFIG_CHECK_SEND;
}

static bool speaks_http(const struct config_pool *p)
{
    return p->check == CONFIG_CHECK_HTTP;
}

static bool has_queue(const struct config_pool *p)
{
    return p->max_queue > 0;
}

static bool is_checked(const struct config_pool *p)
{
    return p->check != CONFIG_CHECK_NONE;
}

static bool speaks_tls(const struct config_pool *p)
{
    return config_pool_has_tls(p);
}

static bool may_verify(const struct config_pool *p)
{
    return p->tls_verify || !config_pool_has_tls(p);
}

static bool relays_tls(const struct config_pool *p)
{
    return p->tls;
}

static bool is_verified(const struct config_pool *p)
{
    return config_pool_has_tls(p) && p->tls_verify;
}

#define NEEDS_TLS "has no effect without tls = yes or check_tls = yes"

static const struct requirement {
    const char *key;
    bool (*is_met)(const struct config_pool *p);
    const char *message;
} requirements[] = {
    { "hash_key", is_hashed, "has no effect without balance = hash" },
    { "queue_when", has_queue, "has no effect without max_queue" },
    { "check_port", is_checked, "has no effect without check" },
    { "check_send_proxy", is_checked, "has no effect without check" },
    { "check_send", is_sent_to, "has no effect without check = send" },
    { "check_expect", is_sent_to, "has no effect without check = send" },
    { "check_step", is_sent_to, "has no effect without check = send" },
    { "check_path", speaks_http, "has no effect without check = http" },
    { "check_host", speaks_http, "has no effect without check = http" },
    { "check_status", speaks_http, "has no effect without check = http" },
    { "check_tls", is_checked, "has no effect without check" },
    { "tls_ca", may_verify, "has no effect with tls_verify = no" },
    { "tls_ca", speaks_tls, NEEDS_TLS },
    { "tls_verify", speaks_tls, NEEDS_TLS },
    { "tls_name", speaks_tls, NEEDS_TLS },
    { "tls_certificate", speaks_tls, NEEDS_TLS },
    { "tls_min", speaks_tls, NEEDS_TLS },
    { "tls_max", speaks_tls, NEEDS_TLS },
    { "tls_ciphers", speaks_tls, NEEDS_TLS },
    { "tls_ciphersuites", speaks_tls, NEEDS_TLS },
    { "tls_groups", speaks_tls, NEEDS_TLS },
    { "tls_alpn", speaks_tls, NEEDS_TLS },
    { "tls_kernel", relays_tls, "has no effect without tls = yes" },
};

static void check_unused_keys(const struct load *l, size_t i)
{
    for (size_t n = 0; n < sizeof requirements / sizeof *requirements; n++)
        if (!requirements[n].is_met(&l->config->pool[i]))
            check_key_unused_named(l, SECTION_POOL, i, requirements[n].key,
                                   requirements[n].message);
}

/* A check = send has steps, or check_send and check_expect, which stand for one step each. What the
 * pool gives itself overrides what [defaults] gives. */
static void check_dialogue(const struct load *l, size_t i)
{
    const struct config_pool *pool = &l->config->pool[i];
    bool sends = is_given(l, i, "check_send") || is_given(l, i, "check_expect");
    const char *beside = "given with check_step, expected one of the two";
    if (!is_sent_to(pool))
        return;
    if (sends && !is_given(l, i, "check_step")) {
        check_key_unused_named(l, SECTION_POOL, i, "check_step", beside);
    } else if (pool->check_step_count > 0 || is_given(l, i, "check_step")) {
        check_key_unused_named(l, SECTION_POOL, i, "check_send", beside);
        check_key_unused_named(l, SECTION_POOL, i, "check_expect", beside);
    }
    if (!sends && !is_given(l, i, "check_step") && pool->check_send.data == NULL &&
        pool->check_expect.data == NULL && pool->check_step_count == 0)
        report_key(l, i, "check",
                   "\"send\": nothing to send, expected check_send, check_expect or both, or "
                   "check_step");
}

/* A pool with a file has no servers to balance, connect to or check. */
static void check_unused_beside_file(const struct load *l, size_t i)
{
    const struct section *s = &keys_sections[SECTION_POOL];
    for (const struct key *k = s->keys; k < s->keys + s->key_count; k++)
        if (k->list.size == 0 && strcmp(k->name, "file") != 0)
            check_key_unused(l, SECTION_POOL, i, k,
                             "has no effect with file, which replaces servers");
}

/* --- [pool]: servers --- */

static void check_pool_report_server(const struct load *l, size_t i, size_t item, const char *what)
{
    const struct config_pool *pool = &l->config->pool[i];
    char label[KEYS_LABEL_MAX];
    report_error(l->report, load_origin(l, SECTION_POOL, i, "server")->item[item],
                 load_label(l, SECTION_POOL, i, label), "server", "\"%s\": %s",
                 pool->server[item].name, what);
}

/* Checks the addresses of servers against other keys of the pool. */
static void check_addresses(const struct load *l, size_t i)
{
    const struct config_pool *pool = &l->config->pool[i];
    bool from_address = pool->source.kind == CONFIG_SOURCE_ADDRESS;
    for (size_t item = 0; item < pool->server_count; item++) {
        const struct config_server *s = &pool->server[item];
        if (s->same_port && is_checked(pool) && s->check_address.len == 0 && pool->check_port == 0)
            check_pool_report_server(
                l, i, item, "has no port for checks, expected check_port or check_address=");
        if (from_address && s->host == NULL && !addr_is_unix(&s->addr) &&
            s->addr.sa.sa_family != pool->source.addr.sa.sa_family)
            check_pool_report_server(
                l, i, item, "cannot be reached from source, expected both to be IPv4 or both IPv6");
    }
}

/* The name in a certificate is checked, and this server has none. */
static void check_tls_names(const struct load *l, size_t i)
{
    const struct config_pool *pool = &l->config->pool[i];
    if (!is_verified(pool) || pool->tls_name != NULL)
        return;
    for (size_t item = 0; item < pool->server_count; item++) {
        const struct config_server *s = &pool->server[item];
        if (s->service || (s->host == NULL && addr_is_unix(&s->addr)))
            check_pool_report_server(
                l, i, item,
                "has no name that its certificate could be for, expected tls_name or "
                "tls_verify = no");
    }
}

static void check_source(const struct load *l, size_t i)
{
    if (is_given(l, i, "server") && is_given(l, i, "file"))
        report_key(l, i, "file", "given with servers, expected one of the two");
    else if (!is_given(l, i, "server") && !is_given(l, i, "file") && !l->config->pool[i].empty)
        report_key(l, i, "server", "missing, expected at least one, a file, or empty = yes");
}

void check_pool(const struct load *l, size_t i)
{
    const struct config_pool *pool = &l->config->pool[i];
    check_source(l, i);
    if (is_given(l, i, "file") && !is_given(l, i, "server")) {
        check_unused_beside_file(l, i);
        return;
    }
    check_unused_keys(l, i);
    check_dialogue(l, i);
    /* [defaults] names this pool as the fallback of the others. */
    if (pool->fallback_name != NULL && !is_given(l, i, "fallback") &&
        strcmp(pool->fallback_name, pool->name) == 0)
        check_key_unused_named(l, SECTION_POOL, i, "fallback", "");
    check_addresses(l, i);
    check_agreed(l, SECTION_POOL, i, &pool->tls_limits);
    check_tls_names(l, i);
}

/* --- Loops of fallbacks --- */

/* Reports the loop that `first` is in: "a -> b -> a". */
static void report_fallback_loop(const struct load *l, const struct config_pool *first)
{
    const struct config_pool *p = first;
    char *loop = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&loop, &size);
    if (out == NULL)
        return;
    fputs("a loop: ", out);
    do {
        fprintf(out, "%s -> ", p->name);
        p = p->fallback;
    } while (p != first);
    fputs(first->name, out);
    if (fclose(out) == 0)
        report_key(l, (size_t)(first - l->config->pool), "fallback", loop);
    free(loop);
}

/* Returns the pool of a loop that comes first in the file. */
static const struct config_pool *fallback_loop_first(const struct config_pool *on)
{
    const struct config_pool *first = on;
    for (const struct config_pool *p = on->fallback; p != on; p = p->fallback)
        if (p < first)
            first = p;
    return first;
}

bool check_fallbacks(const struct load *l)
{
    const struct config *c = l->config;
    size_t *walk =
        calloc(c->pool_count + 1, sizeof *walk); /* by pool: the last walk that visited it */
    if (walk == NULL)
        return false;
    for (size_t i = 0; i < c->pool_count; i++) {
        const struct config_pool *p = &c->pool[i];
        for (; p != NULL && walk[p - c->pool] == 0; p = p->fallback)
            walk[p - c->pool] = i + 1;
        if (p != NULL && walk[p - c->pool] == i + 1) /* a loop that this walk found first */
            report_fallback_loop(l, fallback_loop_first(p));
    }
    free(walk);
    return true;
}
