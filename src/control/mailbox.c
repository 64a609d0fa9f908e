#include "control/mailbox.h"

void mailbox_init(struct mailbox *m, void (*wake)(void *arg), void *arg)
{
    pthread_mutex_init(&m->lock, NULL);
    STAILQ_INIT(&m->worker_messages);
    m->wake = wake;
    m->arg = arg;
    m->closed = false;
}

void mailbox_fini(struct mailbox *m)
{
    pthread_mutex_destroy(&m->lock);
}

bool mailbox_post(struct mailbox *m, struct worker_message *message)
{
    pthread_mutex_lock(&m->lock);
    bool open = !m->closed;
    if (open) {
        STAILQ_INSERT_TAIL(&m->worker_messages, message, in_mailbox);
        m->wake(m->arg);
    }
    pthread_mutex_unlock(&m->lock);
    return open;
}

void mailbox_run(struct mailbox *m, void *owner)
{
    struct worker_messages worker_messages = STAILQ_HEAD_INITIALIZER(worker_messages);
    struct worker_message *message;
    pthread_mutex_lock(&m->lock);
    STAILQ_CONCAT(&worker_messages, &m->worker_messages);
    pthread_mutex_unlock(&m->lock);
    while ((message = STAILQ_FIRST(&worker_messages)) != NULL) {
        STAILQ_REMOVE_HEAD(&worker_messages, in_mailbox);
        message->run(message, owner);
    }
}

void mailbox_close(struct mailbox *m, void *owner)
{
    pthread_mutex_lock(&m->lock);
    m->closed = true;
    pthread_mutex_unlock(&m->lock);
    mailbox_run(m, owner);
}
