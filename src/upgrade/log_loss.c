#include "upgrade/log_loss.h"

#include <stdlib.h>
#include <unistd.h>

#include "upgrade/estate.h"
#include "upgrade/parcel.h"

/* The socket has room: the other process has read all that it was sent before. */
#define SEND_MS 1000

static bool gather(const uint64_t sent[LOG_NAMES], struct estate_log_loss *e)
{
    bool any = false;
    for (int i = 0; i < LOG_NAMES; i++) {
        log_closed_loss((enum log_name)i, &e->loss[i]);
        e->loss[i].dropped -= sent[i];
        any |= e->loss[i].dropped > 0 || e->loss[i].untold > 0;
    }
    return any;
}

void log_loss_send(int sock, const uint64_t sent[LOG_NAMES])
{
    struct estate_log_loss e;
    struct parcel *p = gather(sent, &e) ? malloc(sizeof *p) : NULL;
    if (p == NULL)
        return;
    parcel_init(p, PARCEL_LOG_LOSS);
    (void)parcel_add(p, &e, sizeof e, NULL, 0);
    (void)parcel_send(sock, p, SEND_MS);
    free(p);
}

static void count(struct parcel *p)
{
    struct estate_log_loss e;
    struct parcel_place at = { 0, 0 };
    if (p->type == PARCEL_LOG_LOSS && parcel_take(p, &at, &e, sizeof e, NULL, 0))
        for (int i = 0; i < LOG_NAMES; i++)
            log_add_dropped((enum log_name)i, &e.loss[i]);
    parcel_close_rest(p, &at);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct log_loss_watch *w = poll->data;
    struct parcel *p = status < 0 ? NULL : malloc(sizeof *p);
    (void)events;
    if (p != NULL && parcel_receive(w->sock, p, 1) == 0)
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
