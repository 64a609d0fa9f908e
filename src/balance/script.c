#include "balance/script.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balance/tls_peer_name.h"

struct addr script_target(const struct config_pool *conf, const struct addr *server,
                          const struct addr *check_address)
{
    struct addr to = check_address->len != 0 ? *check_address : *server;
    if (check_address->len == 0 && conf->check_port != 0 && !addr_is_unix(&to))
        addr_set_port(&to, (uint16_t)conf->check_port);
    return to;
}

/* elsewhere: the checked address is not the one of sessions, so by default the check sends no
 * header. If sessions send none either, "yes" means version 1, which every program with PROXY
 * support has. */
static enum config_send_proxy header_of(const struct config_pool *conf, bool elsewhere)
{
    switch (conf->check_send_proxy) {
    case CONFIG_CHECK_SEND_PROXY_AUTO:
        return elsewhere ? CONFIG_SEND_PROXY_NO : conf->send_proxy;
    case CONFIG_CHECK_SEND_PROXY_YES:
        return conf->send_proxy == CONFIG_SEND_PROXY_NO ? CONFIG_SEND_PROXY_V1 : conf->send_proxy;
    case CONFIG_CHECK_SEND_PROXY_NO:
        break;
    }
    return CONFIG_SEND_PROXY_NO;
}

/* HTTP/1.1 requires Host (RFC 9112, section 3.2). A unix socket gets "localhost"; an IPv6 address
 * goes without its zone, which is valid on this machine only (RFC 6874). */
static const char *host_of(const struct config_pool *conf, const struct addr *to,
                           char text[ADDR_TEXT_MAX])
{
    struct addr host = *to;
    if (conf->check_host != NULL)
        return conf->check_host;
    if (host.sa.sa_family == AF_INET6)
        host.in6.sin6_scope_id = 0;
    return addr_is_unix(to) ? "localhost" : addr_print(&host, text);
}

/* Allocates room for count steps. */
static int script_reserve(struct script *s, size_t count)
{
    s->step = calloc(count, sizeof *s->step);
    return s->step == NULL ? -ENOMEM : 0;
}

static void add_step(struct script *s, enum script_kind kind, const char *data, size_t len)
{
    s->step[s->step_count++] = (struct script_step){ .kind = kind, .data = data, .len = len };
}

static int script_from_http(struct script *s, const struct config_pool *conf)
{
    char text[ADDR_TEXT_MAX];
    int n = asprintf(&s->request,
                     "GET %s HTTP/1.1\r\n"
                     "Host: %s\r\n"
                     "User-Agent: zproxy\r\n"
                     "Connection: close\r\n"
                     "\r\n",
                     conf->check_path, host_of(conf, &s->to, text));
    if (n < 0) {
        s->request = NULL;
        return -ENOMEM;
    }
    if (script_reserve(s, 2) < 0)
        return -ENOMEM;
    add_step(s, SCRIPT_SEND, s->request, (size_t)n);
    add_step(s, SCRIPT_EXPECT_STATUS, NULL, 0);
    s->status = &conf->check_status;
    return 0;
}

static int script_from_steps(struct script *s, const struct config_pool *conf)
{
    static const enum script_kind kinds[] = {
        [CONFIG_STEP_SEND] = SCRIPT_SEND,
        [CONFIG_STEP_EXPECT] = SCRIPT_EXPECT,
        [CONFIG_STEP_EXPECT_NOT] = SCRIPT_EXPECT_NOT,
        [CONFIG_STEP_EXPECT_REGEX] = SCRIPT_EXPECT_REGEX,
    };
    if (script_reserve(s, conf->check_step_count) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < conf->check_step_count; i++) {
        const struct config_step *step = &conf->check_step[i];
        add_step(s, kinds[step->kind], step->bytes.data, step->bytes.len);
        s->step[i].regex = step->regex;
    }
    s->is_numbered = true;
    return 0;
}

static int script_from_send_expect(struct script *s, const struct config_pool *conf)
{
    if (conf->check_step_count > 0)
        return script_from_steps(s, conf);
    if (script_reserve(s, 2) < 0)
        return -ENOMEM;
    if (conf->check_send.len > 0)
        add_step(s, SCRIPT_SEND, conf->check_send.data, conf->check_send.len);
    if (conf->check_expect.len > 0)
        add_step(s, SCRIPT_EXPECT, conf->check_expect.data, conf->check_expect.len);
    return 0;
}

/* A check has no client whose name it could use. */
static int set_tls(struct script *s, const struct config_pool *conf, const char *host)
{
    char text[INET6_ADDRSTRLEN];
    if (!config_pool_checks_tls(conf))
        return 0;
    s->tls = conf->tls_context;
    host = tls_peer_name(conf, "", host, &s->to, text);
    if (host == NULL)
        return 0;
    s->tls_host = strdup(host);
    return s->tls_host == NULL ? -ENOMEM : 0;
}

int script_init(struct script *s, const struct config_pool *conf, const struct addr *server,
                const struct addr *check_address, const char *host)
{
    const struct addr to = script_target(conf, server, check_address);
    *s = (struct script){
        .to = to,
        .secrets = conf->config,
        .header = header_of(conf, !addr_equal(&to, server)),
    };
    if (conf->source.kind ==
        CONFIG_SOURCE_ADDRESS) /* source = client does not apply: a check has no client */
        s->source.addr = conf->source.addr;
    s->tcp = &conf->tcp;
    if (set_tls(s, conf, host) < 0)
        return -ENOMEM;
    switch (conf->check) {
    case CONFIG_CHECK_HTTP:
        return script_from_http(s, conf);
    case CONFIG_CHECK_SEND:
        return script_from_send_expect(s, conf);
    case CONFIG_CHECK_TCP:
    case CONFIG_CHECK_NONE:
        break;
    }
    return 0;
}

void script_fini(struct script *s)
{
    free(s->request);
    free((char *)s->tls_host);
    free(s->step);
    s->tls_host = NULL;
    s->request = NULL;
    s->step = NULL;
    s->step_count = 0;
}
