/* Which listeners do not accept, since a limit is reached: logged when it begins and when it is
 * over, at most once a second for each listener, and told to the metrics and zproxyctl.
 *
 * Under a steady crowd a full listener pauses and goes on with each session that ends. It counts as
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

/* Both outlive it. Returns 0 or -errno. */
int accept_watch_init(struct accept_watch *w, uv_loop_t *loop,
                      struct listener_state_list *listener_states,
                      const struct conn_limit *conn_limit);

/* From any thread: a listener has paused. arg: the watch. */
void accept_watch_report(void *arg);

/* The listeners are closed for good: says no more, and none is paused. */
void accept_watch_stop(struct accept_watch *w);

/* Why the listener does not accept; ACCEPT_OPEN: it does. */
enum accept_reason accept_watch_reason(const struct listener_state *e);
/* Why one of them does not, if that is a limit of the process. */
enum accept_reason accept_watch_process(const struct accept_watch *w);

#endif
