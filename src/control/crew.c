#include "control/crew.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

void crew_init(struct crew *c, const struct worker_setup *setup, bool pin)
{
    memset(c, 0, sizeof *c);
    c->setup = *setup;
    c->pin = pin;
}

static void bury(struct crew *c, struct worker *w)
{
    worker_add_totals(w, &c->past);
    worker_free(w);
}

void crew_stop(struct crew *c)
{
    for (size_t i = 0; i < c->at_work + c->finishing; i++)
        worker_stop(c->worker[i]);
}

void crew_fini(struct crew *c)
{
    size_t count = c->at_work + c->finishing;
    for (size_t i = 0; i < count; i++)
        bury(c, c->worker[i]);
    free(c->worker);
    c->worker = NULL;
    c->at_work = c->finishing = c->started = 0;
}

/* The CPU number of the n-th usable CPU, in turn. */
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

static int add_one(struct crew *c)
{
    struct worker_setup setup = c->setup;
    struct worker *w = NULL;
    setup.index = c->next_index;
    setup.cpu = c->pin ? nth_cpu(setup.index) : -1;
    int rc = worker_new(&w, &setup);
    if (rc < 0)
        return rc;
    struct worker **at = &c->worker[c->at_work];
    memmove(at + 1, at, c->finishing * sizeof(struct worker *));
    *at = w;
    c->at_work++;
    c->next_index++;
    return 0;
}

int crew_add(struct crew *c, size_t count)
{
    size_t room = c->at_work + c->finishing + count + 1;
    struct worker **worker = realloc(c->worker, room * sizeof(struct worker *));
    if (worker == NULL)
        return -ENOMEM;
    c->worker = worker;
    for (size_t i = 0; i < count; i++) {
        int rc = add_one(c);
        if (rc < 0) {
            crew_drop(c, i);
            return rc;
        }
    }
    return 0;
}

void crew_drop(struct crew *c, size_t count)
{
    for (; count > 0; count--) {
        struct worker **at = &c->worker[--c->at_work];
        worker_free(*at);
        memmove(at, at + 1, c->finishing * sizeof(struct worker *));
        c->next_index--;
    }
}

int crew_recruit(struct crew *c)
{
    int rc = 0;
    for (size_t i = c->started; i < c->at_work && rc == 0; i++)
        rc = worker_recruit(c->worker[i]);
    return rc;
}

int crew_start(struct crew *c)
{
    for (; c->started < c->at_work; c->started++) {
        int rc = worker_start(c->worker[c->started]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void crew_dismiss(struct crew *c, size_t count)
{
    for (; count > 0; count--) {
        if (c->at_work > c->started) {
            crew_drop(c, 1);
            continue;
        }
        c->at_work--;
        c->started--;
        c->finishing++;
        worker_drain(c->worker[c->at_work]);
    }
}

size_t crew_running(const struct crew *c)
{
    return c->started + c->finishing;
}

struct worker *crew_worker(const struct crew *c, size_t i)
{
    return c->worker[i < c->started ? i : i - c->started + c->at_work];
}

void crew_each(struct crew *c, void (*call)(struct worker *w))
{
    for (size_t i = 0; i < crew_running(c); i++)
        call(crew_worker(c, i));
}

struct sharing {
    struct letter letter;
    bool shared;
    sem_t known;
};

static void on_sharing(struct letter *l, void *worker)
{
    struct sharing *sh = (struct sharing *)l; /* its first member */
    worker_sessions(worker)->shared = sh->shared;
    sem_post(&sh->known);
}

void crew_share(struct crew *c, bool shared)
{
    struct sharing sh = { .letter.run = on_sharing, .shared = shared };
    sem_init(&sh.known, 0, 0);
    for (size_t i = 0; i < crew_running(c); i++)
        if (worker_post(crew_worker(c, i), &sh.letter))
            while (sem_wait(&sh.known) == -1) /* EINTR */
                ;
    sem_destroy(&sh.known);
}

bool crew_has_finished(const struct crew *c)
{
    for (size_t i = 0; i < crew_running(c); i++)
        if (!worker_has_finished(crew_worker(c, i)))
            return false;
    return true;
}

void crew_reap(struct crew *c)
{
    size_t kept = c->at_work;
    size_t count = c->at_work + c->finishing;
    for (size_t i = c->at_work; i < count; i++) {
        struct worker *w = c->worker[i];
        if (!worker_has_finished(w)) {
            c->worker[kept++] = w;
            continue;
        }
        worker_join(w);
        bury(c, w);
        c->finishing--;
    }
}

void crew_totals(const struct crew *c, struct worker_totals *sum)
{
    *sum = c->past;
    for (size_t i = 0; i < c->at_work + c->finishing; i++)
        worker_add_totals(c->worker[i], sum);
}
