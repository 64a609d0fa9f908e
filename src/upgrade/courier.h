/* Parcels to and from the other program, one after the other, and what went wrong with them. Either
 * side has one. */
#ifndef ZPROXY_UPGRADE_COURIER_H
#define ZPROXY_UPGRADE_COURIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "upgrade/parcel.h"

struct courier {
    int sock;
    const char *other;     /* "the new program" */
    struct parcel *parcel; /* the one that is being filled, or has come */
    bool has_come;
    struct parcel_place at; /* of one that has come: what has been taken */
    uint32_t taken;         /* items */
    uint64_t deadline;      /* us, courier_clock(); 0: PARCEL_PATIENCE for each parcel */
    char error[200];        /* the first one; empty: none */
};

/* other: who is at the other end, for messages. Makes the socket block. Returns 0 or -ENOMEM. */
int courier_init(struct courier *c, int sock, const char *other);
void courier_fini(struct courier *c);

/* CLOCK_MONOTONIC, us. */
uint64_t courier_clock(void);

/* All below return 0, or -1 with c->error filled in. */

/* Notes what could not be done and why (rc: -errno). Returns -1. */
int courier_fail(struct courier *c, const char *doing, int rc);

/* Begins a parcel; adds an item, for which a full parcel is sent first; sends what is left, or,
 * in any case, what there is. */
void courier_open(struct courier *c, enum parcel_type type);
int courier_put(struct courier *c, const void *item, size_t size, const int *fd, size_t fds);
int courier_close(struct courier *c);
int courier_flush(struct courier *c);

/* Sends what has no items, or a text alone; waits for what the other one says, for as long as it
 * takes; both, where one answer is wanted and there is an end to patience. What is damaged is
 * refused. */
int courier_say(struct courier *c, enum parcel_type type);
int courier_say_text(struct courier *c, enum parcel_type type, const char *text);
int courier_hear(struct courier *c);
int courier_ask(struct courier *c, enum parcel_type type, enum parcel_type wanted);

/* Takes the next item of the parcel that has come, with its descriptors, which are the caller's
 * then. Returns 1, 0 when there is no further one, or -1 after a refusal that names the item by
 * `what`: it is cut short, or there is more in the parcel than its items. What is not taken is
 * closed with the next parcel. */
int courier_take(struct courier *c, const char *what, void *item, size_t size, int *fd, size_t fds);
/* The same for a parcel that has no items. Returns 0 or -1. */
int courier_take_none(struct courier *c);

/* Tells the other one why not, in words; returns -1. */
int courier_refuse(struct courier *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
