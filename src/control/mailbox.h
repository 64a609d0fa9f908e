/* A queue of messages from other threads to one thread. A message is a function that the owner of
 * the mailbox calls; messages run in the order of posting. */
#ifndef ZPROXY_CONTROL_MAILBOX_H
#define ZPROXY_CONTROL_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>

/* Embedded in an object of the caller, which must exist until run is called; run may free it. */
struct worker_message {
    STAILQ_ENTRY(worker_message) in_mailbox;
    void (*run)(struct worker_message *message, void *owner); /* on the owner's thread */
};

STAILQ_HEAD(worker_messages, worker_message);

struct mailbox {
    pthread_mutex_t lock;
    struct worker_messages worker_messages;
    void (*wake)(void *arg);
    void *arg;
    bool closed;
};

/* wake(arg) is called on the posting thread with the lock held, and must make the owner call
 * mailbox_run() soon. Because of the lock, no thread is in wake once mailbox_close() has returned.
 */
void mailbox_init(struct mailbox *m, void (*wake)(void *arg), void *arg);
/* The mailbox must be empty. */
void mailbox_fini(struct mailbox *m);

/* Posts a message and wakes the owner. From any thread. Returns false when the mailbox is closed.
 * If true, the owner owns the message and may have freed it already. */
bool mailbox_post(struct mailbox *m, struct worker_message *message);

/* Runs the messages that are there. For the owner's thread. A message that is posted meanwhile is
 * left for the next call, so a message may post itself again without holding up the owner. */
void mailbox_run(struct mailbox *m, void *owner);

/* Refuses further messages and runs those that are there. */
void mailbox_close(struct mailbox *m, void *owner);

#endif
