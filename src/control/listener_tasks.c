#include "control/listener_tasks.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>

#include "session/listener.h"

enum listener_task_kind {
    LISTENER_TASK_LISTEN,
    LISTENER_TASK_SET_FRONTEND,
    LISTENER_TASK_RELEASE,
    LISTENER_TASK_CLOSE,
};

struct listener_task {
    enum listener_task_kind kind;
    int fd; /* of LISTENER_TASK_LISTEN */
    struct listener *listener;
    struct frontend *frontend;
};

/* The tasks of one worker in one round. */
struct listener_task_message {
    struct worker_message worker_message;
    sem_t *done;
    size_t count;
    struct listener_task listener_task[];
};

enum listener_task_round {
    LISTENER_TASK_TAKE, /* all tasks but LISTEN */
    LISTENER_TASK_GIVE,
    LISTENER_TASK_ROUNDS,
};

struct worker_listener_tasks {
    struct listener_task_message *in[LISTENER_TASK_ROUNDS];
};

struct listener_tasks {
    struct listener **spare; /* for descriptors that move to a worker */
    size_t spares;
    size_t workers;
    struct worker_listener_tasks to[];
};

static int listener_tasks_make_messages(struct worker_listener_tasks *to, size_t descriptors,
                                        size_t moved)
{
    const size_t room[LISTENER_TASK_ROUNDS] = {
        [LISTENER_TASK_TAKE] = descriptors, [LISTENER_TASK_GIVE] = moved
    };
    int rc = 0;
    for (int i = 0; i < LISTENER_TASK_ROUNDS; i++) {
        to->in[i] = calloc(1, sizeof(struct listener_task_message) +
                                  room[i] * sizeof(struct listener_task));
        rc = to->in[i] == NULL ? -ENOMEM : rc;
    }
    return rc;
}

static int listener_tasks_make_listeners(struct listener_tasks *tasks, size_t count)
{
    tasks->spare = calloc(count + 1, sizeof(struct listener *));
    if (tasks->spare == NULL)
        return -ENOMEM;
    for (; tasks->spares < count; tasks->spares++)
        if ((tasks->spare[tasks->spares] = listener_new()) == NULL)
            return -ENOMEM;
    return 0;
}

/* Each descriptor has at most one task in the first round, and one in the second if it moves. */
struct listener_tasks *listener_tasks_new(size_t workers, size_t descriptors, size_t moved)
{
    struct listener_tasks *tasks =
        calloc(1, sizeof *tasks + workers * sizeof(struct worker_listener_tasks));
    if (tasks == NULL)
        return NULL;
    int rc = listener_tasks_make_listeners(tasks, moved);
    for (tasks->workers = 0; rc == 0 && tasks->workers < workers; tasks->workers++)
        rc = listener_tasks_make_messages(&tasks->to[tasks->workers], descriptors, moved);
    if (rc == 0)
        return tasks;
    listener_tasks_free(tasks);
    return NULL;
}

void listener_tasks_free(struct listener_tasks *tasks)
{
    if (tasks == NULL)
        return;
    for (size_t i = 0; i < tasks->workers; i++)
        for (int round = 0; round < LISTENER_TASK_ROUNDS; round++)
            free(tasks->to[i].in[round]);
    while (tasks->spares > 0)
        listener_free(tasks->spare[--tasks->spares]);
    free(tasks->spare);
    free(tasks);
}

static void listener_tasks_add(struct listener_tasks *tasks, size_t worker,
                               struct listener_task what)
{
    struct listener_task_message *l =
        tasks->to[worker]
            .in[what.kind == LISTENER_TASK_LISTEN ? LISTENER_TASK_GIVE : LISTENER_TASK_TAKE];
    l->listener_task[l->count++] = what;
}

/* A task about the listener that the present owner has. */
static void listener_tasks_add_for_owner(struct listener_tasks *tasks,
                                         const struct socket_share *share,
                                         enum listener_task_kind kind, struct frontend *frontend)
{
    if (share->owner != SOCKET_SHARE_NO_OWNER)
        listener_tasks_add(tasks, share->owner,
                           (struct listener_task){
                               .kind = kind, .listener = share->listener, .frontend = frontend });
}

void listener_tasks_listen(struct listener_tasks *tasks, size_t worker, struct socket_share *share,
                           struct frontend *frontend)
{
    share->listener = tasks->spare[--tasks->spares];
    share->owner = worker;
    listener_tasks_add(tasks, worker,
                       (struct listener_task){ .kind = LISTENER_TASK_LISTEN,
                                               .fd = share->fd,
                                               .listener = share->listener,
                                               .frontend = frontend });
}

void listener_tasks_set_frontend(struct listener_tasks *tasks, const struct socket_share *share,
                                 struct frontend *frontend)
{
    listener_tasks_add_for_owner(tasks, share, LISTENER_TASK_SET_FRONTEND, frontend);
}

void listener_tasks_release(struct listener_tasks *tasks, const struct socket_share *share)
{
    listener_tasks_add_for_owner(tasks, share, LISTENER_TASK_RELEASE, NULL);
}

void listener_tasks_close(struct listener_tasks *tasks, const struct socket_share *share)
{
    listener_tasks_add_for_owner(tasks, share, LISTENER_TASK_CLOSE, NULL);
}

static void listener_task_apply(struct worker *w, const struct listener_task *tasks)
{
    switch (tasks->kind) {
    case LISTENER_TASK_LISTEN:
        worker_listen(w, tasks->listener, tasks->fd, tasks->frontend);
        break;
    case LISTENER_TASK_SET_FRONTEND:
        listener_set_frontend(tasks->listener, tasks->frontend);
        break;
    case LISTENER_TASK_RELEASE:
        listener_detach(tasks->listener);
        break;
    case LISTENER_TASK_CLOSE:
        listener_close(tasks->listener);
        break;
    }
}

static void on_listener_tasks(struct worker_message *worker_message, void *owner)
{
    struct listener_task_message *l =
        (struct listener_task_message *)worker_message; /* its first member */
    sem_t *done = l->done;
    for (size_t i = 0; i < l->count; i++)
        listener_task_apply(owner, &l->listener_task[i]);
    free(l);
    sem_post(done);
}

/* For a worker that is not started, the tasks are done here. */
static void listener_tasks_send(struct listener_tasks *tasks, size_t worker,
                                enum listener_task_round round, struct workers *workers,
                                sem_t *done)
{
    struct listener_task_message *l = tasks->to[worker].in[round];
    tasks->to[worker].in[round] = NULL;
    l->worker_message.run = on_listener_tasks;
    l->done = done;
    if (worker >= workers->started || !worker_post(workers->worker[worker], &l->worker_message))
        on_listener_tasks(&l->worker_message, workers->worker[worker]);
}

/* In the first round every worker gets a message, even without a task: after it no worker serves a
 * client by the old configuration. */
static void listener_tasks_run_round(struct listener_tasks *tasks, struct workers *workers,
                                     enum listener_task_round round)
{
    sem_t done;
    size_t sent = 0;
    sem_init(&done, 0, 0);
    for (size_t i = 0; i < tasks->workers; i++) {
        if (round == LISTENER_TASK_GIVE && tasks->to[i].in[round]->count == 0)
            continue;
        listener_tasks_send(tasks, i, round, workers, &done);
        sent++;
    }
    for (size_t i = 0; i < sent; i++)
        while (sem_wait(&done) == -1) /* EINTR */
            ;
    sem_destroy(&done);
}

void listener_tasks_run(struct listener_tasks *tasks, struct workers *workers)
{
    listener_tasks_run_round(tasks, workers, LISTENER_TASK_TAKE);
    listener_tasks_run_round(tasks, workers, LISTENER_TASK_GIVE);
}
