/* Parcels to and from the other program, one after the other, and what went wrong with them. Either
 * side has one. */
#ifndef ZPROXY_HANDOVER_HANDOVER_CHANNEL_H
#define ZPROXY_HANDOVER_HANDOVER_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "handover/handover_message.h"

struct handover_channel {
    int sock;
    const char *peer;                 /* "the new program" */
    struct handover_message *message; /* the one that is being filled, or has come */
    bool is_received;
    struct handover_message_cursor at; /* of one that has come: what has been taken */
    uint32_t taken;                    /* items */
    uint64_t deadline; /* us, handover_channel_now_us(); 0: HANDOVER_TIMEOUT_MS for each parcel */
    char error[200];   /* the first one; empty: none */
};

/* other: who is at the other end, for messages. Makes the socket block. Returns 0 or -ENOMEM. */
int handover_channel_init(struct handover_channel *c, int sock, const char *peer);
void handover_channel_fini(struct handover_channel *c);

/* CLOCK_MONOTONIC, us. */
uint64_t handover_channel_now_us(void);

/* All below return 0, or -1 with c->error filled in. */

/* Notes what could not be done and why (rc: -errno). Returns -1. */
int handover_channel_fail(struct handover_channel *c, const char *doing, int rc);

/* Begins a parcel; adds an item, for which a full parcel is sent first; sends what is left, or,
 * in any case, what there is. */
void handover_channel_begin(struct handover_channel *c, enum handover_message_type type);
int handover_channel_add(struct handover_channel *c, const void *item, size_t size, const int *fd,
                         size_t fds);
int handover_channel_end(struct handover_channel *c);
int handover_channel_flush(struct handover_channel *c);

/* Sends what has no items, or a text alone; waits for what the other one says, for as long as it
 * takes; both, where one answer is wanted and there is an end to patience. What is damaged is
 * refused. */
int handover_channel_send(struct handover_channel *c, enum handover_message_type type);
int handover_channel_send_text(struct handover_channel *c, enum handover_message_type type,
                               const char *text);
int handover_channel_receive(struct handover_channel *c);
int handover_channel_request(struct handover_channel *c, enum handover_message_type type,
                             enum handover_message_type wanted);

/* Takes the next item of the parcel that has come, with its descriptors, which are the caller's
 * then. Returns 1, 0 when there is no further one, or -1 after a refusal that names the item by
 * `what`: it is cut short, or there is more in the parcel than its items. What is not taken is
 * closed with the next parcel. */
int handover_channel_take(struct handover_channel *c, const char *what, void *item, size_t size,
                          int *fd, size_t fds);
/* The same for a parcel that has no items. Returns 0 or -1. */
int handover_channel_expect_end(struct handover_channel *c);

/* Tells the other one why not, in words; returns -1. */
int handover_channel_refuse(struct handover_channel *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
