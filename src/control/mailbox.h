/* What other threads want done on a thread: functions to be called there, in order. */
#ifndef ZPROXY_CONTROL_MAILBOX_H
#define ZPROXY_CONTROL_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>

/* Embedded by whoever posts it, who keeps it until it is run; it may free itself then. */
struct worker_message {
    STAILQ_ENTRY(worker_message) in_mailbox;
    void (*run)(struct worker_message *l, void *owner); /* on the mailbox's thread */
};

STAILQ_HEAD(worker_messages, worker_message);

struct mailbox {
    pthread_mutex_t lock;
    struct worker_messages worker_messages;
    void (*wake)(void *arg);
    void *arg;
    bool closed;
};

/* wake(arg) is called from the thread that posts, with the lock held, and must make the owner call
 * mailbox_run() soon. So once mailbox_close() has returned no thread is within wake, or will be. */
void mailbox_init(struct mailbox *m, void (*wake)(void *arg), void *arg);
/* It must be empty. */
void mailbox_fini(struct mailbox *m);

/* From any thread: the owner is woken. Returns false when the mailbox is closed. Once it has
 * returned true the letter is the owner's, which may have freed it. */
bool mailbox_post(struct mailbox *m, struct worker_message *l);

/* Runs what is there, for the owner's thread; what is posted meanwhile waits for the next time, so
 * that a letter may come again in the next wake-up. */
void mailbox_run(struct mailbox *m, void *owner);

/* Takes no more letters, and runs those that are there. */
void mailbox_close(struct mailbox *m, void *owner);

#endif
