#include "session/service.h"

#define MS_PER_S 1000

static struct sock_options options_of(const struct config_listen *c)
{
    return (struct sock_options){
        .nodelay = c->nodelay,
        .keepalive = c->keepalive.on,
        .keepalive_time = (int)(c->keepalive.time / MS_PER_S),
        .keepalive_interval = (int)(c->keepalive.interval / MS_PER_S),
        .keepalive_count = (int)c->keepalive.count,
        .user_timeout = (int)c->tcp_user_timeout,
        .receive_buffer = (int)c->receive_buffer,
        .send_buffer = (int)c->send_buffer,
        .backlog = (int)c->backlog,
        .fastopen = (int)c->fastopen,
        .defer_accept = (int)((c->defer_accept + MS_PER_S - 1) / MS_PER_S),
    };
}

void service_init(struct service *s, const struct config_listen *conf, struct pool *pool,
                  struct gate *all, void (*wake)(void *arg), void *arg)
{
    s->conf = conf;
    s->pool = pool;
    s->all = all;
    s->options = options_of(conf);
    gate_init(&s->own, conf->max_connections, wake, arg);
}
