/* Watches which listeners have stopped accepting because a limit is reached. Logs when that begins
 * and ends, at most once a second for each listener; the metrics and zproxyctl read it here.
 *
 * Under constant load a full listener pauses and resumes with each session that ends. It counts as
 * paused until it has not paused for a second. For the control thread.
 */
#ifndef ZPROXY_CONTROL_ACCEPT_WATCH_H
#define ZPROXY_CONTROL_ACCEPT_WATCH_H

#include <stdbool.h>
#include <uv.h>

#include "session/listener_state.h"

struct accept_watch {
    struct listener_state_list *listener_states;
    const struct conn_limit *conn_limit; /* of the process */
    uv_async_t reported;
    uv_timer_t check_timer;
    bool stopped;
};

/* listener_states and conn_limit must outlive the watch. Returns 0 or -errno. */
int accept_watch_init(struct accept_watch *w, uv_loop_t *loop,
                      struct listener_state_list *listener_states,
                      const struct conn_limit *conn_limit);

/* Reports that a listener has paused. From any thread. arg: the watch. */
void accept_watch_report(void *arg);

/* Call after the last listener is closed. From then on nothing is logged and no listener counts as
 * paused. */
void accept_watch_stop(struct accept_watch *w);

/* Why the listener does not accept; ACCEPT_OPEN: it does. */
enum accept_reason accept_watch_reason(const struct listener_state *e);
/* Why listeners do not accept, if the reason is a limit of the process; else ACCEPT_OPEN. */
enum accept_reason accept_watch_process(const struct accept_watch *w);

#endif
