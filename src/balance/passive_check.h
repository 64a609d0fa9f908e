/* What failed connects say about a server: too many in a short time take it out for a while, then
 * one session finds out whether it is back. For any thread. */
#ifndef ZPROXY_BALANCE_PASSIVE_CHECK_H
#define ZPROXY_BALANCE_PASSIVE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "balance/server.h"

/* Counts a failed connect. Returns true when so many, within so many ms, make the server one to be
 * taken out: passive_check_take_out() is the caller's to decide. */
bool passive_check_count(struct server *srv, uint64_t now, uint64_t max_fails,
                         uint64_t fail_timeout);

/* A refusal may be about one client alone, where the server sees that client's address. Returns
 * whether another client was refused as well, within so many ms. client: a hash, not 0. */
bool passive_check_refuses_all(struct server *srv, uint64_t client, uint64_t now,
                               uint64_t fail_timeout);

void passive_check_take_out(struct server *srv, uint64_t until);

bool passive_check_is_out(const struct server *srv);

/* One session at a time finds out whether a server that was taken out is back. Returns whether this
 * one may go there: it is not out, or this is the one. */
bool passive_check_trial_begin(struct server *srv, uint64_t now);

/* The session that tried it has reached it, or not, or has not waited for the answer. The first
 * returns whether the server is back by that; the second whether it stays out, until then. */
bool passive_check_trial_passed(struct server *srv, uint64_t now);
bool passive_check_trial_failed(struct server *srv, uint64_t now, uint64_t until);
void passive_check_trial_cancel(struct server *srv);

/* Whatever was held against it is forgotten. */
void passive_check_reset(struct server *srv);

#endif
