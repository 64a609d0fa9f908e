/* A session as another process can carry on with it: numbers, and descriptors beside them.
 *
 * The terms hold as long as the session relays; the moment changes with every byte. Both travel
 * between processes of one machine only: plain structures, whose layout the version of the
 * handover stands for. Times are those of CLOCK_MONOTONIC, which is the same in both.
 */
#ifndef ZPROXY_SESSION_SESSION_RECORD_H
#define ZPROXY_SESSION_SESSION_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "config/config.h"
#include "session/session.h"

/* A server that was given no name has what stands on its line: a host name, or a unix path. */
#define SESSION_RECORD_SERVER_NAME ADDR_TEXT_MAX

#define SESSION_RECORD_HELLO_NAME 96
#define SESSION_RECORD_HELLO_ALPN 32

struct session_setup {
    uint64_t id;
    uint64_t began;
    uint32_t generation; /* the configuration it began with, and its listener there */
    uint32_t listen;
    uint32_t worker;
    uint8_t has_server; /* otherwise the next three are empty */
    uint8_t has_file;
    uint8_t has_proxy_info; /* otherwise peer and destination are empty */
    uint8_t admitted;
    struct addr_peer client;
    struct addr_peer peer;
    struct addr_peer destination;
    uint64_t name_hash;
    struct addr server;
    char server_name[SESSION_RECORD_SERVER_NAME];
    char pool[CONFIG_NAME_MAX + 1];
    int64_t file_length;
    uint32_t preread_ms;
    uint32_t queued_ms;
    char
        hello_name[SESSION_RECORD_HELLO_NAME]; /* longer ones are cut: they are for the log alone */
    char hello_alpn[SESSION_RECORD_HELLO_ALPN];
};

struct flow_progress {
    uint64_t bytes;
    uint32_t held; /* in a pipe, whose two ends travel beside */
    uint8_t state;
    uint8_t copy;
    uint8_t mark_passed;
};

struct session_progress {
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
    struct flow_progress up;
    struct flow_progress down;
};

/* What a session is beside its numbers: -1 where there is none. */
enum {
    SESSION_RECORD_CLIENT,
    SESSION_RECORD_SERVER,
    SESSION_RECORD_FILE,
    SESSION_RECORD_SETUP_FDS,
};
enum {
    SESSION_RECORD_UP_OUT, /* the two ends of each pipe that holds bytes */
    SESSION_RECORD_UP_IN,
    SESSION_RECORD_DOWN_OUT,
    SESSION_RECORD_DOWN_IN,
    SESSION_RECORD_PROGRESS_FDS,
};

/* For the session's thread; the descriptors stay its own. generation, listen and worker are the
 * caller's to fill in. */
void session_record_setup(const struct session *s, struct session_setup *setup,
                          int fd[SESSION_RECORD_SETUP_FDS]);
void session_record_progress(const struct session *s, struct session_progress *progress,
                             int fd[SESSION_RECORD_PROGRESS_FDS]);

/* Whether its terms stay as they are until it ends. */
bool session_record_is_final(const struct session *s);

/* Whether what has come from another process is a session at all: every number is one that it may
 * be, and every descriptor is there and of its kind. now: ms of the session's clock. Return NULL,
 * or what is wrong, for a message. The descriptors stay the caller's. */
const char *session_record_check_setup(const struct session_setup *setup,
                                       const int fd[SESSION_RECORD_SETUP_FDS], uint64_t now);
const char *session_record_check_progress(const struct session *s,
                                          const struct session_progress *progress,
                                          const int fd[SESSION_RECORD_PROGRESS_FDS], uint64_t now);

/* Carries on with a session in this process, before the worker of `all` runs: its sockets are
 * watched, but nothing moves before it has its moment. t and m have been checked. Takes the
 * descriptors over, also on failure. target: NULL where it has none, otherwise its place has been
 * taken. NULL when out of memory or descriptors. */
struct session *session_record_restore(struct sessions *all, struct frontend *frontend,
                                       struct pool *pool, struct server *target,
                                       const struct session_setup *setup,
                                       const int fd[SESSION_RECORD_SETUP_FDS]);
/* Returns 0 or -errno; takes the descriptors over, also on failure. Sessions that wait for a place
 * are to be told session_requeue() then, in the order in which they came. */
int session_record_resume(struct session *s, const struct session_progress *progress,
                          const int fd[SESSION_RECORD_PROGRESS_FDS]);
/* It has ended meanwhile, in the process that it came from: it leaves without a trace. */
void session_record_discard(struct session *s);

#endif
