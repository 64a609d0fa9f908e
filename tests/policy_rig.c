#include "policy_rig.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "suite.h"

static struct server *make_server(size_t i, unsigned weight)
{
    char name[32];
    char address[32];
    const char *why = NULL;
    struct config_server conf = { .name = name, .weight = weight, .state = CONFIG_STATE_READY };
    snprintf(name, sizeof name, "web%zu", i);
    snprintf(address, sizeof address, "10.0.%zu.%zu:80", i / 250, i % 250 + 1);
    ck_assert_int_eq(addr_parse(&conf.addr, address, &why), 0);
    struct server *srv = server_new(&conf, NULL);
    ck_assert_ptr_nonnull(srv);
    atomic_store(&srv->rank_index, (uint32_t)i);
    return srv;
}

size_t policy_rig_index(const struct server *srv)
{
    return atomic_load(&srv->rank_index);
}

void policy_rig_open(struct policy_rig *f, const struct policy_ops *policy, const unsigned *weights,
                     size_t count)
{
    memset(f, 0, sizeof *f);
    ck_assert(count <= POLICY_RIG_MAX);
    f->policy = policy;
    f->count = count;
    f->now = 1000000;
    for (size_t i = 0; i < count; i++)
        f->servers[i] = make_server(i, weights == NULL ? 1 : weights[i]);
    policy_rig_renew(f);
}

void policy_rig_close(struct policy_rig *f)
{
    f->policy->destroy(f->state);
    for (size_t i = 0; i < f->count; i++)
        server_free(f->servers[i]);
}

void policy_rig_renew(struct policy_rig *f)
{
    void *previous = f->state;
    f->state = f->policy->create(f->servers, f->count, previous);
    ck_assert_ptr_nonnull(f->state);
    if (previous != NULL)
        f->policy->destroy(previous);
    for (size_t i = 0; i < f->count; i++)
        policy_rig_changed(f, i);
}

struct rig_request {
    struct pick_request request; /* first: the policy passes it to rig_acquire() */
    struct policy_rig *rig;
};

static enum server_acquired rig_acquire(const struct pick_request *r, struct server *srv,
                                        uint64_t expected)
{
    struct policy_rig *f = ((const struct rig_request *)r)->rig;
    atomic_fetch_add(&f->asked, 1);
    if (f->refuses[policy_rig_index(srv)] || !server_is_usable(srv, f->now))
        return SERVER_REFUSED;
    return server_acquire(srv, expected);
}

long policy_rig_pick(struct policy_rig *f, uint64_t key)
{
    const struct rig_request r = { .request = { .key = key, .now = f->now }, .rig = f };
    long i = f->policy->pick(f->state, &r.request, rig_acquire);
    if (i >= 0)
        policy_rig_changed(f, (size_t)i);
    return i;
}

void policy_rig_release(struct policy_rig *f, size_t i)
{
    server_release(f->servers[i]);
    policy_rig_changed(f, i);
}

long policy_rig_visit(struct policy_rig *f, uint64_t key)
{
    long i = policy_rig_pick(f, key);
    if (i >= 0)
        policy_rig_release(f, (size_t)i);
    return i;
}

void policy_rig_changed(struct policy_rig *f, size_t i)
{
    if (f->policy->changed != NULL)
        f->policy->changed(f->state, i, f->now);
}

void policy_rig_set_up(struct policy_rig *f, size_t i, bool up)
{
    atomic_store(&f->servers[i]->up, up);
    policy_rig_changed(f, i);
}

void policy_rig_set_weight(struct policy_rig *f, size_t i, unsigned weight)
{
    atomic_store(&f->servers[i]->weight, weight);
    policy_rig_changed(f, i);
}

void policy_rig_set_limit(struct policy_rig *f, size_t i, uint64_t max_connections)
{
    atomic_store(&f->servers[i]->max_connections, max_connections);
    policy_rig_changed(f, i);
}

void policy_rig_run(struct policy_rig *f, size_t threads, void *(*run)(void *policy_rig))
{
    pthread_t thread[16];
    ck_assert(threads <= 16);
    for (size_t i = 0; i < threads; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, run, f), 0);
    for (size_t i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
}
