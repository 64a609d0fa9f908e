/* A session as a handover sends it to the new process: two structures, and descriptors.
 *
 * The setup stays the same while the session relays; the progress changes with each byte. Both are
 * plain structures, since both processes are on one machine; HANDOVER_VERSION stands for their
 * layout. Times are of CLOCK_MONOTONIC, which is the same in both processes.
 */
#ifndef ZPROXY_SESSION_SESSION_RECORD_H
#define ZPROXY_SESSION_SESSION_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "config/config.h"
#include "session/session.h"

/* The name of a server may be the host name or unix path of its line, if it has no name=. */
#define SESSION_RECORD_SERVER_NAME ADDR_TEXT_MAX

#define SESSION_RECORD_HELLO_NAME 96
#define SESSION_RECORD_HELLO_ALPN 32

struct session_setup {
    uint64_t id;
    uint64_t began;
    uint32_t generation; /* that the session began with */
    uint32_t listen;     /* index of its listener in that configuration */
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
    char hello_name[SESSION_RECORD_HELLO_NAME]; /* cut if longer: only the log uses it */
    char hello_alpn[SESSION_RECORD_HELLO_ALPN];
};

struct flow_progress {
    uint64_t bytes;
    uint32_t held; /* bytes in the pipe, whose two ends are sent too */
    uint8_t state;
    uint8_t copy;
    uint8_t mark_passed;
    uint8_t cut;
};

struct session_progress {
    uint64_t connected;
    uint64_t active;
    uint64_t wait_until;
    uint64_t queue_since;
    uint16_t attempts;
    uint16_t pool_attempts;
    uint8_t state;
    uint8_t first_fin;
    uint8_t failure;
    uint8_t up_ended;
    uint8_t down_ended;
    uint8_t tls_sides; /* session_record_tls.h */
    struct flow_progress up;
    struct flow_progress down;
};

/* The indexes of the descriptors of a setup and of a progress; a missing descriptor is -1. */
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

/* For the worker's thread. The session keeps the descriptors. The caller sets generation, listen
 * and worker. */
void session_record_setup(const struct session *s, struct session_setup *setup,
                          int fd[SESSION_RECORD_SETUP_FDS]);
void session_record_progress(const struct session *s, struct session_progress *progress,
                             int fd[SESSION_RECORD_PROGRESS_FDS]);

/* Whether the session stays in this process at a handover: its TLS is in user space, or a handshake
 * is in progress. */
bool session_record_stays(const struct session *s);

/* Whether the setup of the session stays the same until its end. */
bool session_record_is_final(const struct session *s);

/* Check a session that was received: each number is in its range, and each descriptor is there and
 * of its kind. now: ms, CLOCK_MONOTONIC. Return NULL, or what is wrong, for a message. The caller
 * keeps the descriptors. */
const char *session_record_check_setup(const struct session_setup *setup,
                                       const int fd[SESSION_RECORD_SETUP_FDS], uint64_t now);
const char *session_record_check_progress(const struct session *s,
                                          const struct session_progress *progress,
                                          const int fd[SESSION_RECORD_PROGRESS_FDS], uint64_t now);

/* Makes a session from a setup that was checked, before the worker of `all` runs. Its sockets are
 * watched, but it moves nothing before session_record_resume(). Takes ownership of the descriptors,
 * also on failure. target: the server on which the caller has acquired a slot, or NULL. Returns
 * NULL when out of memory or descriptors. */
struct session *session_record_restore(struct sessions *all, struct frontend *frontend,
                                       struct pool *pool, struct server *target,
                                       const struct session_setup *setup,
                                       const int fd[SESSION_RECORD_SETUP_FDS]);
/* Sets the progress, which was checked. Takes ownership of the descriptors, also on failure.
 * Returns 0 or -errno. Afterwards the caller must call session_requeue() for sessions in
 * SESSION_WAITING, in the order in which their clients came. */
int session_record_resume(struct session *s, const struct session_progress *progress,
                          const int fd[SESSION_RECORD_PROGRESS_FDS]);
/* Frees a session that has meanwhile ended in the old process; it is not logged or counted. */
void session_record_discard(struct session *s);

#endif
