#include "program/signals.h"

#include <signal.h>

static const int signal_numbers[SIGNALS] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };

static void signals_mask(int how, size_t first)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = first; i < SIGNALS; i++)
        sigaddset(&set, signal_numbers[i]);
    pthread_sigmask(how, &set, NULL);
}

void signals_hold(void)
{
    signals_mask(SIG_BLOCK, 2); /* not TERM and INT: they may kill while there are no sessions */
}

static void on_uv_signal(uv_signal_t *handle, int number)
{
    struct signals *s = handle->data;
    s->caught(s->arg, number);
}

static int signals_open_one(struct signals *s, uv_loop_t *loop)
{
    uv_signal_t *handle = &s->handle[s->open];
    int rc = uv_signal_init(loop, handle);
    if (rc < 0)
        return rc;
    handle->data = s;
    return uv_signal_start(handle, on_uv_signal, signal_numbers[s->open++]);
}

int signals_open(struct signals *s, uv_loop_t *loop, void (*caught)(void *arg, int number),
                 void *arg)
{
    int rc = 0;
    s->open = 0;
    s->caught = caught;
    s->arg = arg;
    while (rc == 0 && s->open < SIGNALS)
        rc = signals_open_one(s, loop);
    signal(SIGPIPE, SIG_IGN); /* splice(2) has no MSG_NOSIGNAL */
    signal(SIGXFSZ, SIG_IGN); /* a log file at RLIMIT_FSIZE: write(2) fails with EFBIG instead */
    signal(SIGTTOU, SIG_IGN); /* writing to a terminal (stty tostop) would stop the process */
    if (rc == 0)
        signals_mask(SIG_UNBLOCK, 0);
    return rc;
}

/* Blocks first: libuv restores the default action when a handle is closed. */
void signals_close(struct signals *s)
{
    signals_mask(SIG_BLOCK, 0);
    while (s->open > 0)
        uv_close((uv_handle_t *)&s->handle[--s->open], NULL);
}
