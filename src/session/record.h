/* A session as another process can carry on with it: numbers, and descriptors beside them.
 *
 * The terms hold as long as the session relays; the moment changes with every byte. Both travel
 * between processes of one machine only: plain structures, whose layout the version of the
 * handover stands for. Times are those of CLOCK_MONOTONIC, which is the same in both.
 */
#ifndef ZPROXY_SESSION_RECORD_H
#define ZPROXY_SESSION_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "config/config.h"
#include "session/session.h"

/* A server that was given no name has what stands on its line: a host name, or a unix path. */
#define RECORD_SERVER_NAME ADDR_TEXT_MAX

#define RECORD_HELLO_NAME 96
#define RECORD_HELLO_ALPN 32

struct session_terms {
    uint64_t id;
    uint64_t began;
    uint32_t generation; /* the configuration it began with, and its listener there */
    uint32_t listen;
    uint32_t worker;
    uint8_t has_server; /* otherwise the next three are empty */
    uint8_t has_file;
    uint8_t has_learned; /* otherwise peer and destination are empty */
    uint8_t admitted;
    struct addr_peer client;
    struct addr_peer peer;
    struct addr_peer destination;
    uint64_t name_hash;
    struct addr server;
    char server_name[RECORD_SERVER_NAME];
    char pool[CONFIG_NAME_MAX + 1];
    int64_t file_length;
    uint32_t preread_ms;
    uint32_t queued_ms;
    char hello_name[RECORD_HELLO_NAME]; /* longer ones are cut: they are for the log alone */
    char hello_alpn[RECORD_HELLO_ALPN];
};

struct flow_moment {
    uint64_t bytes;
    uint32_t held; /* in a pipe, whose two ends travel beside */
    uint8_t state;
    uint8_t copy;
    uint8_t mark_passed;
};

struct session_moment {
    uint64_t connected;
    uint64_t active;
    uint64_t wait_until;
    uint16_t attempts;
    uint16_t pool_attempts;
    uint8_t state;
    uint8_t first_fin;
    uint8_t failure;
    uint8_t up_ended;
    uint8_t down_ended;
    struct flow_moment up;
    struct flow_moment down;
};

/* What a session is beside its numbers: -1 where there is none. */
enum {
    RECORD_CLIENT,
    RECORD_SERVER,
    RECORD_FILE,
    RECORD_TERMS_FDS,
};
enum {
    RECORD_UP_OUT, /* the two ends of each pipe that holds bytes */
    RECORD_UP_IN,
    RECORD_DOWN_OUT,
    RECORD_DOWN_IN,
    RECORD_MOMENT_FDS,
};

/* For the session's thread; the descriptors stay its own. generation, listen and worker are the
 * caller's to fill in. */
void record_terms(const struct session *s, struct session_terms *t, int fd[RECORD_TERMS_FDS]);
void record_moment(const struct session *s, struct session_moment *m, int fd[RECORD_MOMENT_FDS]);

/* Whether its terms stay as they are until it ends. */
bool record_is_settled(const struct session *s);

/* Whether what has come from another process is a session at all: every number is one that it may
 * be, and every descriptor is there and of its kind. now: ms of the session's clock. Return NULL,
 * or what is wrong, for a message. The descriptors stay the caller's. */
const char *record_check_terms(const struct session_terms *t, const int fd[RECORD_TERMS_FDS],
                               uint64_t now);
const char *record_check_moment(const struct session *s, const struct session_moment *m,
                                const int fd[RECORD_MOMENT_FDS], uint64_t now);

/* Carries on with a session in this process, before the worker of `all` runs: its sockets are
 * watched, but nothing moves before it has its moment. t and m have been checked. Takes the
 * descriptors over, also on failure. backend: NULL where it has none, otherwise its place has been
 * taken. NULL when out of memory or descriptors. */
struct session *record_begin(struct sessions *all, struct service *service, struct pool *pool,
                             struct backend *backend, const struct session_terms *t,
                             const int fd[RECORD_TERMS_FDS]);
/* Returns 0 or -errno; takes the descriptors over, also on failure. Sessions that wait for a place
 * are to be told session_wait_on() then, in the order in which they came. */
int record_resume(struct session *s, const struct session_moment *m,
                  const int fd[RECORD_MOMENT_FDS]);
/* It has ended meanwhile, in the process that it came from: it leaves without a trace. */
void record_drop(struct session *s);

#endif
