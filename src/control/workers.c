#include "control/workers.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

void workers_init(struct workers *c, const struct worker_setup *setup, bool pin)
{
    memset(c, 0, sizeof *c);
    c->setup = *setup;
    c->pin = pin;
}

static void workers_retire(struct workers *c, struct worker *w)
{
    worker_add_totals(w, &c->retired);
    worker_free(w);
}

void workers_stop(struct workers *c)
{
    for (size_t i = 0; i < c->active + c->finishing; i++)
        worker_stop(c->worker[i]);
}

void workers_fini(struct workers *c)
{
    size_t count = c->active + c->finishing;
    for (size_t i = 0; i < count; i++)
        workers_retire(c, c->worker[i]);
    free(c->worker);
    c->worker = NULL;
    c->active = c->finishing = c->started = 0;
}

/* The number of the n-th usable CPU, modulo their count; -1: unknown. */
static int nth_cpu(unsigned n)
{
    cpu_set_t usable;
    if (sched_getaffinity(0, sizeof usable, &usable) == -1 || CPU_COUNT(&usable) == 0)
        return -1;
    n %= (unsigned)CPU_COUNT(&usable);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &usable) && n-- == 0)
            return cpu;
    return -1;
}

static int workers_add_one(struct workers *c)
{
    struct worker_setup setup = c->setup;
    struct worker *w = NULL;
    setup.index = c->next_index;
    setup.cpu = c->pin ? nth_cpu(setup.index) : -1;
    int rc = worker_new(&w, &setup);
    if (rc < 0)
        return rc;
    struct worker **at = &c->worker[c->active];
    memmove(at + 1, at, c->finishing * sizeof(struct worker *));
    *at = w;
    c->active++;
    c->next_index++;
    return 0;
}

static void workers_remove(struct workers *c, size_t count)
{
    for (; count > 0; count--) {
        struct worker **at = &c->worker[--c->active];
        worker_free(*at);
        memmove(at, at + 1, c->finishing * sizeof(struct worker *));
        c->next_index--;
    }
}

int workers_add(struct workers *c, size_t count)
{
    size_t room = c->active + c->finishing + count + 1;
    struct worker **worker = realloc(c->worker, room * sizeof(struct worker *));
    if (worker == NULL)
        return -ENOMEM;
    c->worker = worker;
    for (size_t i = 0; i < count; i++) {
        int rc = workers_add_one(c);
        if (rc < 0) {
            workers_remove(c, i);
            return rc;
        }
    }
    return 0;
}

int workers_spawn(struct workers *c)
{
    int rc = 0;
    for (size_t i = c->started; i < c->active && rc == 0; i++)
        rc = worker_spawn(c->worker[i]);
    return rc;
}

int workers_start(struct workers *c)
{
    for (; c->started < c->active; c->started++) {
        int rc = worker_start(c->worker[c->started]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void workers_drain_last(struct workers *c, size_t count)
{
    for (; count > 0; count--) {
        if (c->active > c->started) {
            workers_remove(c, 1);
            continue;
        }
        c->active--;
        c->started--;
        c->finishing++;
        worker_drain(c->worker[c->active]);
    }
}

size_t workers_running(const struct workers *c)
{
    return c->started + c->finishing;
}

struct worker *workers_at(const struct workers *c, size_t i)
{
    return c->worker[i < c->started ? i : i - c->started + c->active];
}

void workers_each(struct workers *c, void (*call)(struct worker *w))
{
    for (size_t i = 0; i < workers_running(c); i++)
        call(workers_at(c, i));
}

struct shared_message {
    struct worker_message worker_message;
    bool shared;
    sem_t done;
};

static void on_set_shared(struct worker_message *l, void *worker)
{
    struct shared_message *sh = (struct shared_message *)l; /* its first member */
    worker_sessions(worker)->shared = sh->shared;
    sem_post(&sh->done);
}

void workers_set_shared(struct workers *c, bool shared)
{
    struct shared_message sh = { .worker_message.run = on_set_shared, .shared = shared };
    sem_init(&sh.done, 0, 0);
    for (size_t i = 0; i < workers_running(c); i++)
        if (worker_post(workers_at(c, i), &sh.worker_message))
            while (sem_wait(&sh.done) == -1) /* EINTR */
                ;
    sem_destroy(&sh.done);
}

bool workers_have_finished(const struct workers *c)
{
    for (size_t i = 0; i < workers_running(c); i++)
        if (!worker_has_finished(workers_at(c, i)))
            return false;
    return true;
}

void workers_reap(struct workers *c)
{
    size_t kept = c->active;
    size_t count = c->active + c->finishing;
    for (size_t i = c->active; i < count; i++) {
        struct worker *w = c->worker[i];
        if (!worker_has_finished(w)) {
            c->worker[kept++] = w;
            continue;
        }
        worker_join(w);
        workers_retire(c, w);
        c->finishing--;
    }
}

void workers_totals(const struct workers *c, struct worker_totals *sum)
{
    *sum = c->retired;
    for (size_t i = 0; i < c->active + c->finishing; i++)
        worker_add_totals(c->worker[i], sum);
}
