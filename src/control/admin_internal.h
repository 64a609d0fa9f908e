/* What admin.c, admin_listener.c and admin_finish.c share: the control socket and its clients. */
#ifndef ZPROXY_CONTROL_ADMIN_INTERNAL_H
#define ZPROXY_CONTROL_ADMIN_INTERNAL_H

#include <stdbool.h>
#include <sys/queue.h>

#include "base/deadline.h"
#include "control/admin.h"
#include "session/fd_reserve.h"

#define ADMIN_READ_MS 30000 /* a client that reads nothing for this long is closed */

LIST_HEAD(admin_clients, admin_client);

/* A listening socket. Freed after its handles are closed; fd is closed when another listener has
 * taken its place. */
struct admin_listener {
    int fd;
    uv_poll_t poll;   /* of fd */
    uv_timer_t retry; /* accept again, while paused */
    unsigned handles; /* open */
    struct admin *admin;
    struct addr at;
    struct file_id file;          /* the socket's */
    struct fd_reserve fd_reserve; /* for a client that connects when no descriptor is left */
    bool paused; /* clients wait in the backlog: no slot, memory or descriptor is free */
};

struct admin {
    uv_loop_t *loop;
    admin_command_fn *command;
    void *arg;
    struct admin_listener *listener; /* NULL: none */
    struct admin_clients clients;    /* the one that sent the most recent command is first */
    struct admin_clients closing;    /* their handles are not closed yet */
    size_t count;                    /* of clients */
    size_t unread;                   /* bytes of answers held for clients */
    bool finishing;                  /* admin_finish() has been called */
};

enum client_state {
    CLIENT_READING,   /* no whole line has come */
    CLIENT_EXECUTING, /* its command is being executed */
    CLIENT_WRITING,   /* its answer is being sent */
};

/* What admin_finish() still has to do for a client. */
struct admin_rest {
    const char *text; /* to be sent first */
    size_t left;      /* bytes of it */
    bool newline;     /* then send the empty line that ends an answer */
    bool refuse;      /* then refuse the command that is being executed */
    bool eof;         /* no more of the client's lines can be read */
    bool in_line;     /* a part of a line has been read */
    char start[8];    /* its first bytes, without leading blanks */
    size_t start_length;
    const char *input; /* read and not split into lines yet */
    size_t input_left; /* bytes of it */
    char buffer[512];  /* of input */
};

struct admin_client {
    uv_pipe_t pipe;
    struct deadline read_deadline;
    uv_write_t write;
    struct admin *admin;
    LIST_ENTRY(admin_client) in_list;
    enum client_state state;
    bool ended;              /* it sends nothing more */
    bool close_after_answer; /* what it sends is not text */
    bool json;               /* its command wants JSON */
    unsigned handles;        /* open */
    size_t unread;           /* bytes of the answer when read_deadline was set */
    size_t evict_unread;     /* bytes of the answer when it was last considered for eviction */
    uint64_t progressed;     /* ms: when evict_unread was last found smaller */
    uint64_t answered;       /* ms: when the answer began */
    char *answer;
    size_t answer_length;
    struct admin_call *call;
    struct admin_rest rest;
    size_t length; /* of what has been read, in line */
    char line[ADMIN_LINE_MAX + 1];
};

struct admin_call {
    struct admin_client *client; /* NULL: it has gone */
};

/* Takes ownership of fd, which the listener has accepted. */
void admin_open_client(struct admin_client *c, const struct admin_listener *listener, int fd);

/* Closes one client to make room: of the idle ones, the one whose last command is the oldest; if
 * none is idle, of those that read their answers too slowly, the one whose last progress is the
 * oldest. A client with an unread command in its socket is not idle. Returns false if no client can
 * be closed. */
bool admin_evict(struct admin *a);

/* Accepts again if the listener is paused. Called when a resource may have become free. */
void admin_resume(struct admin *a);

/* Closes the listener with its socket and reserve, but not its handles: the loop is closed. */
void admin_free_listener(struct admin_listener *listener);

#endif
