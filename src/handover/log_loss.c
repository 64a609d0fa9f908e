#include "handover/log_loss.h"

#include <stdlib.h>
#include <unistd.h>

#include "handover/handover_message.h"
#include "handover/handover_messages.h"

/* The socket has room: the other process has read all that it was sent before. */
#define SEND_MS 1000

static bool gather(const uint64_t sent[LOG_NAME_COUNT], struct estate_log_loss *e)
{
    bool any = false;
    for (int i = 0; i < LOG_NAME_COUNT; i++) {
        log_closed_loss((enum log_name)i, &e->loss[i]);
        e->loss[i].dropped -= sent[i];
        any |= e->loss[i].dropped > 0 || e->loss[i].unreported > 0;
    }
    return any;
}

void log_loss_send(int sock, const uint64_t sent[LOG_NAME_COUNT])
{
    struct estate_log_loss e;
    struct handover_message *p = gather(sent, &e) ? malloc(sizeof *p) : NULL;
    if (p == NULL)
        return;
    handover_message_init(p, PARCEL_LOG_LOSS);
    (void)handover_message_add(p, &e, sizeof e, NULL, 0);
    (void)handover_message_send(sock, p, SEND_MS);
    free(p);
}

static void count(struct handover_message *p)
{
    struct estate_log_loss e;
    struct handover_message_cursor at = { 0, 0 };
    if (p->type == PARCEL_LOG_LOSS && handover_message_take(p, &at, &e, sizeof e, NULL, 0))
        for (int i = 0; i < LOG_NAME_COUNT; i++)
            log_add_dropped((enum log_name)i, &e.loss[i]);
    handover_message_close_rest(p, &at);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct log_loss_watch *w = poll->data;
    struct handover_message *p = status < 0 ? NULL : malloc(sizeof *p);
    (void)events;
    if (p != NULL && handover_message_receive(w->sock, p, 1) == 0)
        count(p);
    free(p);
    uv_poll_stop(poll);
    uv_close((uv_handle_t *)poll, NULL);
    log_loss_fini(w);
}

void log_loss_watch(struct log_loss_watch *w, uv_loop_t *loop, int sock)
{
    w->sock = sock;
    w->poll.data = w;
    if (uv_poll_init(loop, &w->poll, sock) < 0)
        log_loss_fini(w);
    else
        (void)uv_poll_start(&w->poll, UV_READABLE, on_readable);
}

void log_loss_fini(struct log_loss_watch *w)
{
    if (w->sock != -1)
        close(w->sock);
    w->sock = -1;
}
