#include "control/workers.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

void workers_init(struct workers *ws, const struct worker_setup *setup, bool pin)
{
    memset(ws, 0, sizeof *ws);
    ws->setup = *setup;
    ws->pin = pin;
}

static void workers_retire(struct workers *ws, struct worker *w)
{
    worker_add_totals(w, &ws->retired);
    worker_free(w);
}

void workers_stop(struct workers *ws)
{
    for (size_t i = 0; i < ws->active + ws->finishing; i++)
        worker_stop(ws->worker[i]);
}

void workers_fini(struct workers *ws)
{
    size_t count = ws->active + ws->finishing;
    for (size_t i = 0; i < count; i++)
        workers_retire(ws, ws->worker[i]);
    free(ws->worker);
    ws->worker = NULL;
    ws->active = ws->finishing = ws->started = 0;
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

static int workers_add_one(struct workers *ws)
{
    struct worker_setup setup = ws->setup;
    struct worker *w = NULL;
    setup.index = ws->next_index;
    setup.cpu = ws->pin ? nth_cpu(setup.index) : -1;
    int rc = worker_new(&w, &setup);
    if (rc < 0)
        return rc;
    struct worker **at = &ws->worker[ws->active];
    memmove(at + 1, at, ws->finishing * sizeof(struct worker *));
    *at = w;
    ws->active++;
    ws->next_index++;
    return 0;
}

static void workers_remove(struct workers *ws, size_t count)
{
    for (; count > 0; count--) {
        struct worker **at = &ws->worker[--ws->active];
        worker_free(*at);
        memmove(at, at + 1, ws->finishing * sizeof(struct worker *));
        ws->next_index--;
    }
}

int workers_add(struct workers *ws, size_t count)
{
    size_t room = ws->active + ws->finishing + count + 1;
    struct worker **worker = realloc(ws->worker, room * sizeof(struct worker *));
    if (worker == NULL)
        return -ENOMEM;
    ws->worker = worker;
    for (size_t i = 0; i < count; i++) {
        int rc = workers_add_one(ws);
        if (rc < 0) {
            workers_remove(ws, i);
            return rc;
        }
    }
    return 0;
}

int workers_spawn(struct workers *ws)
{
    int rc = 0;
    for (size_t i = ws->started; i < ws->active && rc == 0; i++)
        rc = worker_spawn(ws->worker[i]);
    return rc;
}

int workers_start(struct workers *ws)
{
    for (; ws->started < ws->active; ws->started++) {
        int rc = worker_start(ws->worker[ws->started]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void workers_drain_last(struct workers *ws, size_t count)
{
    for (; count > 0; count--) {
        if (ws->active > ws->started) {
            workers_remove(ws, 1);
            continue;
        }
        ws->active--;
        ws->started--;
        ws->finishing++;
        worker_drain(ws->worker[ws->active]);
    }
}

size_t workers_running(const struct workers *ws)
{
    return ws->started + ws->finishing;
}

struct worker *workers_at(const struct workers *ws, size_t i)
{
    return ws->worker[i < ws->started ? i : i - ws->started + ws->active];
}

void workers_each(struct workers *ws, void (*call)(struct worker *w))
{
    for (size_t i = 0; i < workers_running(ws); i++)
        call(workers_at(ws, i));
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

void workers_set_shared(struct workers *ws, bool shared)
{
    struct shared_message sh = { .worker_message.run = on_set_shared, .shared = shared };
    sem_init(&sh.done, 0, 0);
    for (size_t i = 0; i < workers_running(ws); i++)
        if (worker_post(workers_at(ws, i), &sh.worker_message))
            while (sem_wait(&sh.done) == -1) /* EINTR */
                ;
    sem_destroy(&sh.done);
}

bool workers_have_finished(const struct workers *ws)
{
    for (size_t i = 0; i < workers_running(ws); i++)
        if (!worker_has_finished(workers_at(ws, i)))
            return false;
    return true;
}

void workers_reap(struct workers *ws)
{
    size_t kept = ws->active;
    size_t count = ws->active + ws->finishing;
    for (size_t i = ws->active; i < count; i++) {
        struct worker *w = ws->worker[i];
        if (!worker_has_finished(w)) {
            ws->worker[kept++] = w;
            continue;
        }
        worker_join(w);
        workers_retire(ws, w);
        ws->finishing--;
    }
}

void workers_totals(const struct workers *ws, struct worker_totals *sum)
{
    *sum = ws->retired;
    for (size_t i = 0; i < ws->active + ws->finishing; i++)
        worker_add_totals(ws->worker[i], sum);
}
