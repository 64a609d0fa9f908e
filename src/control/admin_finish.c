#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "control/admin_internal.h"

#define REASON "zproxy is being upgraded, ask again"

static const char refusal[] = "error: " REASON "\n\n";
static const char refusal_json[] = "{\"errors\":[\"" REASON "\"],\"code\":\"again\"}\n\n";

static void set_text(struct admin_rest *r, const char *text)
{
    r->text = text;
    r->left = strlen(text);
}

static void set_refusal(struct admin_rest *r, bool json)
{
    set_text(r, json ? refusal_json : refusal);
}

/* From here on the client cannot send another command: send(2) fails there. */
static void begin_client(struct admin_client *c, int fd)
{
    struct admin_rest *r = &c->rest;
    size_t unsent = uv_stream_get_write_queue_size((const uv_stream_t *)&c->pipe);
    *r = (struct admin_rest){
        .newline = unsent > 0,
        .refuse = c->state == CLIENT_EXECUTING,
        .eof = c->close_after_answer,
        .input = c->line,
        .input_left = c->close_after_answer ? 0 : c->length,
    };
    if (unsent > 1) {
        r->text = c->answer + (c->answer_length + 1 - unsent);
        r->left = unsent - 1;
    }
    if (!r->eof)
        (void)shutdown(fd, SHUT_RD);
}

/* Reads more of what the client has sent. Returns false when there is no more. */
static bool read_input(struct admin_rest *r, int fd)
{
    ssize_t n = 0;
    if (r->eof)
        return false;
    do
        n = recv(fd, r->buffer, sizeof r->buffer, MSG_DONTWAIT);
    while (n == -1 && errno == EINTR);
    r->input = r->buffer;
    r->input_left = n > 0 ? (size_t)n : 0;
    r->eof = n <= 0;
    return n > 0;
}

/* Adds a byte to the line. Its first bytes are kept: they tell whether it wants JSON. */
static void add_to_line(struct admin_rest *r, char byte)
{
    r->in_line = true;
    if (r->start_length == 0 && (byte == ' ' || byte == '\t'))
        return;
    if (r->start_length < sizeof r->start)
        r->start[r->start_length++] = byte;
}

/* Returns whether a line has ended that is not empty. The last line needs no line break. */
static bool next_line(struct admin_rest *r, int fd)
{
    r->in_line = false;
    r->start_length = 0;
    while (r->input_left > 0 || read_input(r, fd)) {
        char byte = *r->input++;
        r->input_left--;
        if (byte == '\n' && r->in_line)
            return true;
        if (byte != '\n' && byte != '\r')
            add_to_line(r, byte);
    }
    return r->in_line;
}

/* Returns false when nothing is left to send. */
static bool next_text(struct admin_client *c, int fd)
{
    struct admin_rest *r = &c->rest;
    if (r->left > 0)
        return true;
    if (r->newline) {
        r->newline = false;
        set_text(r, "\n");
    } else if (r->refuse) {
        r->refuse = false;
        set_refusal(r, c->json);
    } else if (next_line(r, fd)) {
        set_refusal(r, admin_wants_json(r->start, r->start_length));
    }
    return r->left > 0;
}

/* Returns whether something is left to send. */
static bool finish_client(struct admin_client *c, bool begin)
{
    struct admin_rest *r = &c->rest;
    uv_os_fd_t fd = -1;
    if (uv_fileno((const uv_handle_t *)&c->pipe, &fd) < 0)
        return false;
    if (begin)
        begin_client(c, fd);
    while (next_text(c, fd)) {
        ssize_t n = send(fd, r->text, r->left, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return errno == EAGAIN;
        r->text += n;
        r->left -= (size_t)n;
    }
    return false;
}

/* The sockets are closed by the end of the process. */
bool admin_finish(struct admin *a)
{
    struct admin_client *c;
    bool more = false;
    if (a == NULL)
        return false;
    LIST_FOREACH(c, &a->clients, in_list)
        more |= finish_client(c, !a->finishing);
    a->finishing = true;
    return more;
}
