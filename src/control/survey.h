/* Visits every session of every worker on the worker's own thread, some at each wake-up, and then
 * tells the control thread that all have been visited. So nobody waits for anybody, and a worker
 * with thousands of sessions relays on in between. */
#ifndef ZPROXY_CONTROL_SURVEY_H
#define ZPROXY_CONTROL_SURVEY_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "control/crew.h"
#include "control/mailbox.h"
#include "session/session.h"

/* Where the control thread is told. */
struct survey_desk {
    struct mailbox mailbox;
    uv_async_t arrived;
    size_t under_way; /* surveys whose done is still to be called */
    bool open;
};

struct survey_part;

/* Embedded by whoever begins it, who keeps it until done is called. */
struct survey {
    /* On a worker's thread: part numbers the workers from 0; nobody else visits with that number.
     * Returns false when the worker need not go on. It may end the session. */
    bool (*visit)(struct survey *sv, size_t part, struct session *s);
    /* On the control thread. */
    void (*done)(struct survey *sv);

    struct survey_desk *desk;
    struct survey_part *part;
    size_t left; /* parts that are not over */
};

/* Returns 0 or -errno. */
int survey_desk_open(struct survey_desk *desk, uv_loop_t *loop);
/* All workers have been joined: calls done for every survey that is under way, and for those that
 * begin meanwhile. A desk that was never opened is allowed. */
void survey_desk_settle(struct survey_desk *desk);
/* All workers have been joined, and the loop is closed: what is over is told. */
void survey_desk_fini(struct survey_desk *desk);

/* How many parts a survey that begins now has. */
size_t survey_parts(const struct crew *crew);

/* visit and done are set by the caller. Returns 0; or -ENOMEM, or -ECANCELED at the end of the
 * process, and done will not be called. Otherwise it will be, never before this returns. */
int survey_begin(struct survey *sv, struct survey_desk *desk, struct crew *crew);

#endif
