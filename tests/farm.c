#include "farm.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "suite.h"

static struct backend *make_server(size_t i, unsigned weight)
{
    char name[32];
    char address[32];
    const char *why = NULL;
    struct config_server conf = { .name = name, .weight = weight, .state = CONFIG_STATE_READY };
    snprintf(name, sizeof name, "web%zu", i);
    snprintf(address, sizeof address, "10.0.%zu.%zu:80", i / 250, i % 250 + 1);
    ck_assert_int_eq(addr_parse(&conf.addr, address, &why), 0);
    struct backend *b = backend_new(&conf, NULL);
    ck_assert_ptr_nonnull(b);
    return b;
}

void farm_open(struct farm *f, const struct policy_ops *policy, const unsigned *weights,
               size_t count)
{
    memset(f, 0, sizeof *f);
    ck_assert(count <= FARM_MAX);
    f->policy = policy;
    f->count = count;
    f->now = 1000000;
    for (size_t i = 0; i < count; i++)
        f->servers[i] = make_server(i, weights == NULL ? 1 : weights[i]);
    farm_renew(f);
}

void farm_close(struct farm *f)
{
    f->policy->destroy(f->state);
    for (size_t i = 0; i < f->count; i++)
        backend_free(f->servers[i]);
}

void farm_renew(struct farm *f)
{
    void *previous = f->state;
    f->state = f->policy->create(f->servers, f->count, previous);
    ck_assert_ptr_nonnull(f->state);
    if (previous != NULL)
        f->policy->destroy(previous);
    for (size_t i = 0; i < f->count; i++)
        farm_changed(f, i);
}

static enum backend_taken take(void *arg, size_t i, uint64_t expected)
{
    struct farm *f = arg;
    atomic_fetch_add(&f->asked, 1);
    if (f->refuses[i] || !backend_is_usable(f->servers[i], f->now))
        return BACKEND_REFUSED;
    return backend_take(f->servers[i], expected);
}

long farm_pick(struct farm *f, uint64_t key)
{
    const struct policy_request r = { .key = key, .now = f->now, .take = take, .arg = f };
    long i = f->policy->pick(f->state, &r);
    if (i >= 0)
        farm_changed(f, (size_t)i);
    return i;
}

void farm_release(struct farm *f, size_t i)
{
    backend_release(f->servers[i]);
    farm_changed(f, i);
}

long farm_visit(struct farm *f, uint64_t key)
{
    long i = farm_pick(f, key);
    if (i >= 0)
        farm_release(f, (size_t)i);
    return i;
}

void farm_changed(struct farm *f, size_t i)
{
    if (f->policy->changed != NULL)
        f->policy->changed(f->state, i, f->now);
}

void farm_set_up(struct farm *f, size_t i, bool up)
{
    atomic_store(&f->servers[i]->up, up);
    farm_changed(f, i);
}

void farm_set_weight(struct farm *f, size_t i, unsigned weight)
{
    atomic_store(&f->servers[i]->weight, weight);
    farm_changed(f, i);
}

void farm_set_limit(struct farm *f, size_t i, uint64_t max_connections)
{
    atomic_store(&f->servers[i]->max_connections, max_connections);
    farm_changed(f, i);
}

void farm_run(struct farm *f, size_t threads, void *(*run)(void *farm))
{
    pthread_t thread[16];
    ck_assert(threads <= 16);
    for (size_t i = 0; i < threads; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, run, f), 0);
    for (size_t i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
}
