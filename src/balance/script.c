#include "balance/script.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* RFC 9112, section 3.2: a Host is always there. A unix socket has no name that could be one. */
static const char *host_of(const struct config_pool *conf, const struct addr *to,
                           char text[ADDR_TEXT_MAX])
{
    if (conf->check_host != NULL)
        return conf->check_host;
    return addr_is_unix(to) ? "localhost" : addr_print(to, text);
}

static int make_request(struct script *s, const struct config_pool *conf)
{
    char text[ADDR_TEXT_MAX];
    int n = asprintf(&s->send,
                     "GET %s HTTP/1.1\r\n"
                     "Host: %s\r\n"
                     "User-Agent: zproxy\r\n"
                     "Connection: close\r\n"
                     "\r\n",
                     conf->check_path, host_of(conf, &s->to, text));
    if (n < 0) {
        s->send = NULL;
        return -ENOMEM;
    }
    s->send_len = (size_t)n;
    s->wants = SCRIPT_WANTS_STATUS;
    s->status = &conf->check_status;
    return 0;
}

static int make_exchange(struct script *s, const struct config_pool *conf)
{
    const struct config_bytes *send = &conf->check_send;
    if (conf->check_expect.len > 0) {
        s->wants = SCRIPT_WANTS_BYTES;
        s->bytes = &conf->check_expect;
    }
    if (send->len == 0)
        return 0;
    s->send = malloc(send->len);
    if (s->send == NULL)
        return -ENOMEM;
    memcpy(s->send, send->data, send->len);
    s->send_len = send->len;
    return 0;
}

int script_make(struct script *s, const struct config_pool *conf, const struct addr *to)
{
    *s = (struct script){
        .to = *to,
        .wants = SCRIPT_WANTS_NOTHING,
        .header = conf->send_proxy,
    };
    if (conf->source.kind == CONFIG_SOURCE_ADDRESS) /* no client stands behind a check */
        s->source.addr = conf->source.addr;
    switch (conf->check) {
    case CONFIG_CHECK_HTTP:
        return make_request(s, conf);
    case CONFIG_CHECK_SEND:
        return make_exchange(s, conf);
    case CONFIG_CHECK_TCP:
    case CONFIG_CHECK_NONE:
        break;
    }
    return 0;
}

void script_free(struct script *s)
{
    free(s->send);
    s->send = NULL;
}
