#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "control/admin_internal.h"

static const char refusal[] = "error: zproxy is being upgraded, ask again\n\n";

/* What is still owed to a client. */
struct last_answers {
    int fd; /* -1: nothing */
    const char *text;
    size_t left;
    bool newline;      /* the empty line behind an answer */
    bool heard;        /* all that it has asked */
    bool in_line;      /* a part of its next question has come */
    unsigned refusals; /* of questions */
};

static struct last_answers clients[ADMIN_CLIENTS_MAX];
static size_t client_count;
static bool begun;

static void count_lines(struct last_answers *l, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n') {
            l->refusals += l->in_line;
            l->in_line = false;
        } else if (text[i] != '\r') {
            l->in_line = true;
        }
    }
}

static void end_lines(struct last_answers *l)
{
    l->refusals += l->in_line;
    l->in_line = false;
    l->heard = true;
}

/* Nothing more can be asked from here on: what comes too late fails where it is sent. */
static void begin_client(struct last_answers *l, const struct admin_client *c)
{
    uv_os_fd_t fd = -1;
    *l = (struct last_answers){ .fd = -1 };
    if (uv_fileno((const uv_handle_t *)&c->pipe, &fd) < 0)
        return;
    size_t unsent = uv_stream_get_write_queue_size((const uv_stream_t *)&c->pipe);
    l->fd = fd;
    l->newline = unsent > 0;
    if (unsent > 1) {
        l->text = c->answer + (c->answer_length + 1 - unsent);
        l->left = unsent - 1;
    }
    l->refusals = c->state == CLIENT_ASKING;
    if (c->close_after_answer) {
        l->heard = true;
        return;
    }
    (void)shutdown(fd, SHUT_RD);
    count_lines(l, c->line, c->length);
    if (c->ended)
        end_lines(l);
}

static void begin(const struct admin *a)
{
    const struct admin_client *c;
    LIST_FOREACH(c, &a->clients, in_list)
        if (client_count < ADMIN_CLIENTS_MAX)
            begin_client(&clients[client_count++], c);
    begun = true;
}

static void hear(struct last_answers *l)
{
    char text[ADMIN_LINE_MAX];
    while (!l->heard) {
        ssize_t n = recv(l->fd, text, sizeof text, MSG_DONTWAIT);
        if (n > 0)
            count_lines(l, text, (size_t)n);
        else if (n == 0 || errno != EINTR)
            end_lines(l);
    }
}

/* Returns false when there is nothing more to send. */
static bool next_text(struct last_answers *l)
{
    if (l->left > 0)
        return true;
    if (l->newline) {
        l->newline = false;
        l->text = "\n";
        l->left = 1;
    } else if (l->refusals > 0) {
        l->refusals--;
        l->text = refusal;
        l->left = sizeof refusal - 1;
    }
    return l->left > 0;
}

/* Returns whether something is still to be sent. */
static bool send_rest(struct last_answers *l)
{
    while (next_text(l)) {
        ssize_t n = send(l->fd, l->text, l->left, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1 && errno == EAGAIN)
            return true;
        if (n == -1)
            return false;
        l->text += n;
        l->left -= (size_t)n;
    }
    return false;
}

bool admin_finish(struct admin *a)
{
    bool more = false;
    if (a == NULL)
        return false;
    if (!begun)
        begin(a);
    for (size_t i = 0; i < client_count; i++) {
        struct last_answers *l = &clients[i];
        if (l->fd == -1)
            continue;
        hear(l);
        if (send_rest(l))
            more = true;
        else
            l->fd = -1; /* closed by the end of the process */
    }
    return more;
}
