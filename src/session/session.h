/* A session: the client's socket, the server's socket, and a flow in each direction.
 *
 * A session finds a server, and another one if a connect fails; relays; and ends for one of the
 * reasons of session_end.h, with one line in the access log. Its worker owns it (struct sessions),
 * and only the worker's thread uses it.
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
    SESSION_PREREADING,  /* waits for the first bytes of the client (preread.h), until wait_until */
    SESSION_HANDSHAKING, /* waits for the client's part of a TLS handshake, until wait_until */
    SESSION_CONNECTING,  /* waits for the server to accept, until wait_until */
    SESSION_SERVER_HANDSHAKING, /* waits for the server's part of one, until wait_until */
    SESSION_PAUSING,   /* waits before it retries the pool's only server, until wait_until */
    SESSION_WAITING,   /* waits in the pool's queue for a slot, until wait_until */
    SESSION_RELAYING,  /* waits for either side, until one of the listener's timeouts */
    SESSION_ANSWERING, /* sends a file, then waits for the client's FIN; timeouts as above */
    SESSION_ENDED,     /* session_close() was called; freed at the end of the wake-up */
};

/* The members up to `down` are the state of the session, from which another process can continue
 * after a handover (session_record.h). Times are of CLOCK_MONOTONIC, which is the same in both
 * processes. The members after `down` point to objects of this process. */
struct session {
    uint64_t id;
    uint64_t began;               /* accepted, ms */
    uint64_t connected;           /* server reached, ms; 0: not yet */
    uint64_t active;              /* last byte moved, ms */
    uint64_t wait_until;          /* end of the state, ms; TIMER_WHEEL_NEVER: no timeout */
    uint64_t queue_since;         /* first wait in the queue of the pool, ms; 0: none yet */
    struct addr_peer client_addr; /* of the PROXY header, if there was one */
    uint16_t attempts;            /* connects begun */
    uint16_t pool_attempts;       /* of these, to servers of the current pool */
    uint8_t state;                /* enum session_state */
    uint8_t first_fin;  /* SESSION_END_CLIENT_FIN or _SERVER_FIN once one direction has ended */
    uint8_t failure;    /* why the last attempt failed, enum session_end */
    uint8_t ended_by;   /* enum session_end, in SESSION_ENDED */
    bool up_ended;      /* the client's FIN has been passed on */
    bool down_ended;    /* the server's */
    bool admitted;      /* counted for the limits of its client */
    bool staged;        /* a handover is in progress: the new process has the sockets too */
    bool inherited;     /* came by a handover: the old process may still have the sockets */
    bool scheduled;     /* in the list sessions.scheduled */
    uint32_t queued_ms; /* time spent in queues */
    struct side client;
    struct side server;
    struct flow up;
    struct flow down;

    struct sessions *sessions;
    struct frontend *frontend;
    struct pool *pool;                 /* of the listener, the route or a fallback */
    struct server *target;             /* the session has a slot on it; NULL: no slot */
    struct server_stats *server_stats; /* counts the bytes of the server reached */
    struct pool_tried *tried;          /* NULL until an attempt has failed */
    struct slot_wait *wait;            /* in SESSION_WAITING */
    uint64_t name_hash;                /* hash of the TLS server name; 0: no name */
    struct proxy_info *proxy_info;     /* from the PROXY header; NULL: no header */
    struct preread_info *preread;      /* from the first bytes, for the log; NULL: nothing */
    struct rate_limit *rate_limit;     /* NULL: no limit */
    struct answer_file *file;          /* in SESSION_ANSWERING: down.bytes of it have been sent */
    struct timer_wheel_entry timer;
    LIST_ENTRY(session) in_all;
    SLIST_ENTRY(session) in_scheduled;
};

struct proxy_info;
struct preread_info;
struct tls_session_cache;
struct rate_limit;

/* The wait for a slot; freed when the session gets one, or ends. */
struct slot_wait {
    struct waiter waiter;
    struct session *session;
    uint64_t began;      /* ms */
    uint64_t rest_until; /* ms, then all servers are tried again; 0: none has failed */
};

LIST_HEAD(session_head, session);
SLIST_HEAD(session_queue, session);
struct session_iter;
LIST_HEAD(session_iter_list, session_iter);

/* The histograms of sessions, in the order in which a handover carries them. metrics/stats_json.c
 * has their names in /stats.json, metrics/metrics.c their metrics. */
enum session_histogram {
    SESSION_CONNECT_TIME,          /* ms from accept until a server was reached */
    SESSION_PREREAD_TIME,          /* ms until the PROXY header or the TLS hello was complete */
    SESSION_HANDSHAKE_TIME,        /* ms of a TLS handshake with a client that was completed */
    SESSION_SERVER_HANDSHAKE_TIME, /* the same with a server */
    SESSION_QUEUE_TIME,            /* ms in the queue of a pool, of sessions that have left it */
    SESSION_DURATION,              /* ms from accept to close */
    SESSION_BYTES,                 /* both directions */
    SESSION_HISTOGRAMS,
};

/* All sessions of one worker and what they share. */
struct sessions {
    struct event_set *set;
    struct relay_stock relay_stock;
    struct timer_wheel timer_wheel;
    struct fd_reserve fd_reserve;
    struct tls_session_cache *tls_sessions; /* with servers; NULL until there is the first one */
    struct inbox inbox;                     /* sessions whose wait in a queue is over */
    void (*on_client_event)(struct watch *watch, uint32_t events);
    void (*on_server_event)(struct watch *watch, uint32_t events);
    struct session_head all;
    struct session_queue scheduled; /* to be processed in the next wake-up without an event */
    struct session_head dead;       /* ended; to be freed at the end of the wake-up */
    bool shared;                    /* a new process is being started and has all their sockets */
    struct session_iter_list iters; /* walks that are in progress (session_iter.h) */
    struct gauge count;
    struct server_stats_table server_stats_table;
    _Atomic uint64_t *last_id;                      /* of the process */
    void (*ended)(struct sessions *all, void *arg); /* called after a session was freed */
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

/* The caller calls relay_stock_init() before, and relay_stock_fini() at the end. last_id is shared
 * by all workers. ended is called after each session that was freed. wake is called from any
 * thread: the worker must then call sessions_connect_granted(). */
void sessions_init(struct sessions *all, struct event_set *set, _Atomic uint64_t *last_id,
                   void (*ended)(struct sessions *all, void *arg), void *arg,
                   void (*wake)(struct inbox *in));
/* All sessions must have been freed. */
void sessions_fini(struct sessions *all);

/* Begins a session with an accepted client. Takes ownership of fd, and the slot that the caller
 * acquired with frontend_acquire_slot(). Cannot fail: an error ends the session. */
void session_begin(struct sessions *all, struct frontend *frontend, int fd,
                   const struct addr_peer *client);

/* For sessions that come by a handover (session_record.h). New makes an empty session, whose slot
 * the caller has taken by frontend_force_slot(); NULL when out of memory. Resume starts its timers
 * when it is complete. Requeue puts a session in SESSION_WAITING into the queue of its pool. */
struct session *session_new(struct sessions *all, struct frontend *frontend);
int session_resume(struct session *s); /* 0 or -ENOMEM */
void session_requeue(struct session *s);

/* To be called after the events of a wake-up: processes scheduled sessions, handles timeouts, and
 * frees sessions that have ended. */
void sessions_process(struct sessions *all);

/* Whether sessions are scheduled: then the loop must not sleep. */
bool sessions_are_busy(const struct sessions *all);

/* When sessions_process() must be called at the latest, ms; UINT64_MAX: after the next event. */
uint64_t sessions_due(const struct sessions *all);

/* Continues the sessions in the inbox: they connect to the server whose slot they got. */
void sessions_connect_granted(struct sessions *all);

#endif
