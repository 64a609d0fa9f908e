/* A session: a client's socket, a server's socket, a flow each way.
 *
 * Finds a server (again, elsewhere, if need be), relays, and ends for one of the reasons below,
 * with one line in the access log. All sessions of a worker live in its struct sessions, on its
 * thread.
 */
#ifndef ZPROXY_SESSION_SESSION_H
#define ZPROXY_SESSION_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "balance/pool.h"
#include "base/addr.h"
#include "base/stats.h"
#include "base/timer_wheel.h"
#include "relay/event_set.h"
#include "relay/flow.h"
#include "relay/relay_stock.h"
#include "relay/side.h"
#include "session/fd_reserve.h"
#include "session/frontend.h"
#include "session/server_stats.h"
#include "session/session_end.h"

enum session_state {
    SESSION_PREREADING, /* waits for what comes first (greet.h), until wait_until */
    SESSION_CONNECTING, /* waits for the server to accept, until wait_until */
    SESSION_PAUSING,    /* waits before it tries the pool's only server again, until wait_until */
    SESSION_WAITING,    /* waits for a place on a server, until wait_until */
    SESSION_RELAYING,   /* waits for either side, until one of the listener's timeouts */
    SESSION_ANSWERING,  /* sends a file, then waits for the client's end; timeouts likewise */
    SESSION_ENDED,      /* waits for the wake-up to be over, then it is closed and gone */
};

/* The first part is what the session is: numbers and descriptors, times by CLOCK_MONOTONIC (the
 * same clock in every process of the machine), so that another process could carry on from it. The
 * second part is where it hangs in this process. */
struct session {
    uint64_t id;
    uint64_t began;               /* accepted, ms */
    uint64_t connected;           /* server reached, ms; 0: never */
    uint64_t active;              /* last byte moved, ms */
    uint64_t wait_until;          /* of the state, ms; TIMER_WHEEL_NEVER: as long as it takes */
    struct addr_peer client_addr; /* as it was learned, if a PROXY header said more */
    uint16_t attempts;            /* connects begun */
    uint16_t pool_attempts;       /* of these, to servers of the present pool */
    uint8_t state;                /* enum session_state */
    uint8_t first_fin;  /* SESSION_END_CLIENT_FIN or _SERVER_FIN once one direction has ended */
    uint8_t failure;    /* why the last attempt failed, enum session_end */
    uint8_t ended_by;   /* enum session_end, in SESSION_ENDED */
    bool up_ended;      /* the client's FIN has been passed on */
    bool down_ended;    /* the server's */
    bool admitted;      /* counted among its client's sessions */
    bool staged;        /* another process has its sockets and may take over */
    bool inherited;     /* another process had its sockets, and may still have them for a moment */
    bool scheduled;     /* in the list of those that want another turn */
    uint32_t queued_ms; /* that it has waited for places */
    struct side client;
    struct side server;
    struct flow up;
    struct flow down;

    struct sessions *sessions;
    struct frontend *frontend;
    struct pool *pool;                 /* the service's, or one to fall back on */
    struct server *target;             /* a place taken there; NULL: none */
    struct server_stats *server_stats; /* of the server reached, for its bytes */
    struct pool_tried *tried;          /* NULL until an attempt has failed */
    struct place_wait *wait;           /* in SESSION_WAITING */
    uint64_t name_hash;                /* of the server that a TLS client asked for; 0: none */
    struct proxy_info *proxy_info;     /* from a PROXY header; NULL: nothing */
    struct preread_info *preread;      /* what the client's first bytes said; NULL: nothing */
    struct rate_limit *rate_limit;     /* NULL: it moves what there is */
    struct answer_file *file;          /* in SESSION_ANSWERING: down.bytes of it have been sent */
    struct timer_wheel_entry timer;
    LIST_ENTRY(session) in_all;
    SLIST_ENTRY(session) in_scheduled;
};

struct proxy_info;
struct preread_info;
struct rate_limit;

/* Of a session that waits for a place; freed when it has one, or ends. */
struct place_wait {
    struct waiter waiter;
    struct session *session;
    uint64_t began; /* ms */
};

LIST_HEAD(session_head, session);
SLIST_HEAD(session_queue, session);
struct session_iter;
LIST_HEAD(session_iter_list, session_iter);

/* The histograms of sessions, in the order in which a handover carries them. metrics/stats_json.c
 * has their names in /stats.json, metrics/metrics.c their metrics. */
enum session_histogram {
    SESSION_CONNECT_TIME, /* ms from accept until a server was reached */
    SESSION_PREREAD_TIME, /* ms until the PROXY header or the TLS hello was complete */
    SESSION_QUEUE_TIME,   /* ms in the queue of a pool, of sessions that have left it */
    SESSION_DURATION,     /* ms from accept to close */
    SESSION_BYTES,        /* both directions */
    SESSION_HISTOGRAMS,
};

/* All sessions of one worker and what they share. */
struct sessions {
    struct event_set *set;
    struct relay_stock relay_stock;
    struct timer_wheel timer_wheel;
    struct fd_reserve fd_reserve;
    struct inbox inbox; /* who has waited and got a place */
    void (*on_client_event)(struct watch *watch, uint32_t events);
    void (*on_server_event)(struct watch *watch, uint32_t events);
    struct session_head all;
    struct session_queue scheduled; /* did their share of a wake-up and could do more */
    struct session_head dead;       /* closed and freed when the wake-up is over */
    bool shared;                    /* another process has all their sockets for a moment */
    struct session_iter_list iters; /* who is looking at them (tour.h) */
    struct gauge count;
    struct server_stats_table server_stats_table;
    _Atomic uint64_t *last_id;                      /* of the process */
    void (*ended)(struct sessions *all, void *arg); /* a session has ended: there is room */
    void *arg;
    struct counter total;
    struct counter ends[SESSION_ENDS];
    struct histogram histogram[SESSION_HISTOGRAMS];
};

extern const struct histogram_scale session_histogram_scales[SESSION_HISTOGRAMS];

/* Counts a value in a histogram of the worker; on its thread. */
static inline void sessions_record(struct sessions *all, enum session_histogram h, uint64_t value)
{
    histogram_add(&all->histogram[h], &session_histogram_scales[h], value);
}

/* mover is set up by the caller before, and ended after; last_id is shared by all workers; ended
 * is called for each session that ends; wake from any thread: sessions_connect_granted() is wanted.
 */
void sessions_init(struct sessions *all, struct event_set *set, _Atomic uint64_t *last_id,
                   void (*ended)(struct sessions *all, void *arg), void *arg,
                   void (*wake)(struct inbox *in));
/* Every session must have ended. */
void sessions_fini(struct sessions *all);

/* Takes over an accepted client, and the places in the service's gates. Never fails: what goes
 * wrong ends the session. */
void session_begin(struct sessions *all, struct frontend *frontend, int fd,
                   const struct addr_peer *client);

/* For sessions that come from another process (record.h): an empty one, with the places in the
 * service's gates taken by the caller; one that is complete, and one that is not wanted. One that
 * waits for a place stands in no queue until it is told to. */
struct session *session_new(struct sessions *all, struct frontend *frontend);
int session_resume(struct session *s); /* 0 or -ENOMEM */
void session_requeue(struct session *s);

/* What comes after the events of a wake-up: gives busy sessions their turn, ends sessions whose
 * time is over, frees what has ended. */
void sessions_process(struct sessions *all);

/* Whether some could do more, without an event. */
bool sessions_are_busy(const struct sessions *all);

/* When sessions_process() is wanted at the latest, ms; UINT64_MAX: not before there is an event. */
uint64_t sessions_due(const struct sessions *all);

/* Sends those that have been granted a place on their way. */
void sessions_connect_granted(struct sessions *all);

#endif
