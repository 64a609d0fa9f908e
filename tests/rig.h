/* Two socketpairs joined by two flows, no loop: what a session is made of. */
#ifndef ZPROXY_TESTS_RIG_H
#define ZPROXY_TESTS_RIG_H

#include <stdbool.h>
#include <stddef.h>

#include "relay/event_set.h"
#include "relay/flow.h"
#include "relay/relay_stock.h"
#include "relay/side.h"

enum rig_kind {
    RIG_SPLICE,
    RIG_COPY,
    RIG_KINDS,
};

struct rig {
    int client; /* the far ends, blocking */
    int server;
    struct side client_side; /* the near ends, on an event set that is never asked to call back */
    struct side server_side;
    struct flow up;
    struct flow down;
    struct relay_stock relay_stock;
    struct pipe_quota quota;
    uv_loop_t loop;
    struct event_set set;
};

/* Fails the test when it cannot. The near ends are TCP sockets of 127.0.0.1. */
void rig_open(struct rig *r, enum rig_kind kind);
void rig_close(struct rig *r);

/* Takes in what epoll(7) has to say, at most for 20 seconds until `bit` of the side is set. */
void rig_await(struct rig *r, struct side *sd, enum side_ready bit);

/* Takes in events and pumps until both flows wait with no guess unconfirmed. Returns the first
 * error of either, or 0. */
int rig_pump(struct rig *r);
/* The same, but guesses are left unconfirmed. */
int rig_pump_on_events(struct rig *r);
/* Confirms the guesses. Returns whether one was wrong. */
bool rig_confirm(struct rig *r);

void rig_send(int fd, const void *data, size_t len);
/* Reads exactly len bytes. */
void rig_expect(int fd, const void *data, size_t len);
/* Reads the end of the stream. */
void rig_expect_end(int fd);

/* Pumps until the condition holds, however the kernel pauses; 20 seconds at most. */
#define RIG_PUMP_UNTIL(rig, condition)                              \
    do {                                                            \
        for (int turn_ = 0; turn_ < 20000 && !(condition); turn_++) \
            ck_assert_int_eq(rig_pump(rig), 0);                     \
        ck_assert(condition);                                       \
    } while (0)

#endif
