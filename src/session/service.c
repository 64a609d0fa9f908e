#include "session/service.h"

#define MS_PER_S 1000

struct sock_options service_options(const struct config_listen *c)
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
                  struct gate *all, struct entrance *entrance)
{
    s->conf = conf;
    s->pool = pool;
    s->all = all;
    s->entrance = entrance;
    s->options = service_options(conf);
    atomic_init(&s->sessions, 0);
}

bool service_enter(struct service *s)
{
    if (!gate_enter(&s->entrance->gate))
        return false;
    if (gate_enter(s->all)) {
        atomic_fetch_add(&s->sessions, 1);
        return true;
    }
    gate_leave(&s->entrance->gate);
    return false;
}

void service_force(struct service *s)
{
    gate_force(&s->entrance->gate);
    gate_force(s->all);
    atomic_fetch_add(&s->sessions, 1);
}

void service_retreat(struct service *s)
{
    gate_leave(s->all);
    gate_leave(&s->entrance->gate);
    atomic_fetch_sub(&s->sessions, 1);
}

void service_count(struct service *s)
{
    atomic_fetch_add_explicit(&s->entrance->connections, 1, memory_order_relaxed);
}

void service_leave(struct service *s, enum session_end why)
{
    if (session_end_is_refusal(why))
        atomic_fetch_add_explicit(&s->entrance->refused[why], 1, memory_order_relaxed);
    service_retreat(s);
}

bool service_is_idle(const struct service *s)
{
    return atomic_load(&s->sessions) == 0;
}
