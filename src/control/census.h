/* What all sessions of the process are doing, gathered from the workers. For the control thread.
 *
 * One census is taken at a time, others wait for their turn, so that what they need is bounded
 * however many ask.
 */
#ifndef ZPROXY_CONTROL_CENSUS_H
#define ZPROXY_CONTROL_CENSUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "control/crew.h"
#include "control/survey.h"
#include "session/brief.h"

#define CENSUS_MAX 100000 /* sessions; more are not told of */

/* A session, and what it moved since the busiest were last asked for. */
struct census_row {
    struct session_brief brief;
    uint64_t
        rate; /* bytes a second; of its whole life, a second at least, when it was not there then */
};

/* By age, or the busiest first. Good during the call. NULL: out of memory. */
typedef void census_done_fn(void *arg, const struct census_row *row, size_t count);

struct census;
struct census_memory;
TAILQ_HEAD(census_queue, census);

struct censuses {
    struct survey_desk *desk;
    struct crew *crew;
    struct census_queue waiting; /* the first is being taken */
    struct census_memory *last;  /* what all had moved when the busiest were last asked for */
    size_t last_count;
    uint64_t last_time; /* ms, of the loop's clock */
};

void censuses_init(struct censuses *cs, struct survey_desk *desk, struct crew *crew);
/* The survey desk is gone: nothing is being taken any more. */
void censuses_fini(struct censuses *cs);

/* busiest: those that move most, and no more than limit. Returns 0, or -ENOMEM and done will not
 * be called; otherwise never before this returns. */
int census_begin(struct censuses *cs, bool busiest, size_t limit, census_done_fn *done, void *arg);

#endif
