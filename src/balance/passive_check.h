/* Passive checks: after max_fails failed connects within fail_timeout a server is taken out for
 * fail_timeout; then one session probes it. Functions may be called from any thread. */
#ifndef ZPROXY_BALANCE_PASSIVE_CHECK_H
#define ZPROXY_BALANCE_PASSIVE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "balance/server.h"

/* Counts a failed connect. Returns true if the server has had max_fails (0: no limit) within
 * fail_timeout ms. The caller decides whether to call passive_check_take_out(). */
bool passive_check_count(struct server *srv, uint64_t now, uint64_t max_fails,
                         uint64_t fail_timeout);

/* For servers that see the client's address, and may refuse only this client. Returns true if the
 * server refused another client within fail_timeout ms before. client: a hash of the address, not
 * 0. */
bool passive_check_refuses_all(struct server *srv, uint64_t client, uint64_t now,
                               uint64_t fail_timeout);

/* Takes the server out until then, in ms. */
void passive_check_take_out(struct server *srv, uint64_t until);

bool passive_check_is_out(const struct server *srv);

/* Returns whether this session may connect to the server: the server is not out, or its time out is
 * over and this session probes it. One session probes at a time. */
bool passive_check_probe_begin(struct server *srv, uint64_t now);

/* A connect succeeded. If it was the probe, the server is no longer out and the result is true. */
bool passive_check_probe_passed(struct server *srv, uint64_t now);
/* A connect failed. If it was the probe, the server is out until then and the result is true. */
bool passive_check_probe_failed(struct server *srv, uint64_t now, uint64_t until);
/* The probing session left without a result: the next session may probe. */
void passive_check_probe_cancel(struct server *srv);

/* Puts the server back and forgets its failed connects. */
void passive_check_reset(struct server *srv);

#endif
