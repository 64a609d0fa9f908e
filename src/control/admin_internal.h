/* What admin.c and admin_finish.c share: the control socket's clients. */
#ifndef ZPROXY_CONTROL_ADMIN_INTERNAL_H
#define ZPROXY_CONTROL_ADMIN_INTERNAL_H

#include <stdbool.h>
#include <sys/queue.h>

#include "base/deadline.h"
#include "control/admin.h"
#include "session/fd_reserve.h"

LIST_HEAD(admin_clients, admin_client);

/* Its socket is listened on by one, and closed when another one is in force. */
struct admin_listener {
    int fd;
    uv_poll_t knock;
    uv_timer_t retry; /* for lack of a place, memory or descriptors */
    unsigned open;    /* handles */
    struct admin *admin;
    struct addr at;
    struct file_id file;          /* the socket's */
    struct fd_reserve fd_reserve; /* a client is heard without descriptors as well */
    bool waits;                   /* a client is at the door, and there is no room for it yet */
};

struct admin {
    uv_loop_t *loop;
    admin_command_fn *command;
    void *arg;
    struct admin_listener *listener; /* NULL: none */
    struct admin_clients clients;
    struct admin_clients gone; /* until the loop has closed them */
    size_t count;              /* of clients */
    size_t waiting;            /* bytes of answers */
};

enum client_state {
    CLIENT_READING,   /* waits for a line */
    CLIENT_ASKING,    /* for an answer */
    CLIENT_ANSWERING, /* until it has read that */
};

/* Those who have asked least recently are at the end of the list. */
struct admin_client {
    uv_pipe_t pipe;
    struct deadline read_deadline;
    uv_write_t write;
    struct admin *admin;
    LIST_ENTRY(admin_client) in_list;
    enum client_state state;
    bool ended;              /* it sends nothing more */
    bool close_after_answer; /* what it sends is no command: the answer is the last one */
    unsigned open;           /* handles */
    size_t unread;           /* bytes of the answer at the last look */
    size_t behind;           /* the same at the last look for room; */
    uint64_t progressed;     /* when that was less than before, ms; */
    uint64_t answered;       /* and when the answer began */
    char *answer;
    size_t answer_length;
    struct admin_call *call;
    size_t length; /* of what has been read, in line */
    char line[ADMIN_LINE_MAX + 1];
};

struct admin_call {
    struct admin_client *client; /* NULL: it has gone */
};

#define ADMIN_PATIENCE_MS 30000 /* in which a client reads some of its answer */

/* The one that has waited for nothing for the longest time, else the one that has not read its
 * answer for the longest; NULL: none. One whose command waits in its socket is none of them. */
struct admin_client *admin_find_evictable(struct admin *a);

#endif
