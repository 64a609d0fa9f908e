/* One end of a handover: sends and receives messages in order, and keeps the first error as text.
 * The old process and the new one have one each, on their control threads. */
#ifndef ZPROXY_HANDOVER_HANDOVER_CHANNEL_H
#define ZPROXY_HANDOVER_HANDOVER_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "handover/handover_message.h"

/* Bytes with the NUL: of the reason of a refusal, which may have the path of a file; of an error,
 * which may have that reason. */
#define HANDOVER_REFUSAL_MAX 500
#define HANDOVER_ERROR_MAX   (HANDOVER_REFUSAL_MAX + 50)

struct handover_channel {
    int sock;
    const char *peer;                 /* for error messages: "the new program" */
    struct handover_message *message; /* the one being filled, or the last one received */
    bool is_received;
    struct handover_message_cursor at; /* of a received message: what has been taken */
    uint32_t taken;                    /* items of it */
    uint64_t deadline; /* us, handover_channel_now_us(); 0: HANDOVER_TIMEOUT_MS for each message */
    char error[HANDOVER_ERROR_MAX]; /* the first error; "": none */
};

/* Makes the socket blocking; it stays the caller's. Returns 0 or -ENOMEM; call
 * handover_channel_fini() in both cases. */
int handover_channel_init(struct handover_channel *c, int sock, const char *peer);
/* Closes descriptors of the last message that were not taken. */
void handover_channel_fini(struct handover_channel *c);

/* CLOCK_MONOTONIC in us. */
uint64_t handover_channel_now_us(void);

/* All functions below return 0, or -errno with c->error set, except where noted. */

/* Sets c->error to "doing: strerror(-rc)". Returns rc. */
int handover_channel_fail(struct handover_channel *c, const char *doing, int rc);

/* Sending messages with items: begin, add each item, end. add sends a full message and continues in
 * another one of the same type; end sends the last one, unless it is empty. flush sends the message
 * even if it is empty. */
void handover_channel_begin(struct handover_channel *c, enum handover_message_type type);
int handover_channel_add(struct handover_channel *c, const void *item, size_t size, const int *fd,
                         size_t fds);
int handover_channel_end(struct handover_channel *c);
int handover_channel_flush(struct handover_channel *c);

/* Sends a message without items, or one with a text. */
int handover_channel_send(struct handover_channel *c, enum handover_message_type type);
int handover_channel_send_text(struct handover_channel *c, enum handover_message_type type,
                               const char *text);

/* Waits for the next message without a timeout. Refuses a malformed one. */
int handover_channel_receive(struct handover_channel *c);

/* Sends a message without items and expects an empty answer of type `wanted` before the deadline.
 * Any other answer is an error, which is not sent: the caller kills the peer. */
int handover_channel_request(struct handover_channel *c, enum handover_message_type type,
                             enum handover_message_type wanted);

/* Takes the next item of the received message; the caller owns its descriptors. Returns 1; 0 when
 * there is no further item; -EPROTO after a refusal when the item is truncated or the message has
 * bytes or descriptors beyond its items. what: the item, for the refusal. Descriptors that are not
 * taken are closed with the next message. */
int handover_channel_take(struct handover_channel *c, const char *what, void *item, size_t size,
                          int *fd, size_t fds);
/* Checks that the received message has nothing beyond the items that were taken. */
int handover_channel_expect_end(struct handover_channel *c);

/* Sends HANDOVER_REFUSE with a reason, which becomes c->error as well. Returns -EPROTO. */
int handover_channel_refuse(struct handover_channel *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
