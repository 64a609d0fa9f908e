/* The ids of sessions. For any thread.
 *
 * Each session gets the id after the last one given. The first id of a process is the time in
 * microseconds at its start, and an upgrade continues with the last id of the old process. So an
 * id is unique on a machine, also after a crash, unless the clock was set back by more than the
 * time that zproxy had run, or zproxy has accepted more than a million clients a second since its
 * start. Ids stay below 2^53 until the year 2311, so that JSON programs read them exactly. */
#ifndef ZPROXY_SESSION_SESSION_ID_H
#define ZPROXY_SESSION_SESSION_ID_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* No id is smaller: all have at least 14 digits. */
#define SESSION_ID_MIN 10000000000001U

/* Where a process starts: the id before that of its first session. */
uint64_t session_id_start(const struct timespec *now);

/* The id of a new session. */
static inline uint64_t session_id_next(_Atomic uint64_t *last)
{
    return atomic_fetch_add_explicit(last, 1, memory_order_relaxed) + 1;
}

/* Whether a session of this process, or of one before it, may have had the id. */
bool session_id_was_given(uint64_t id, const _Atomic uint64_t *last);

#endif
