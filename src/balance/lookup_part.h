/* One question of a lookup: its last answer, when it is asked again, and how long its records are
 * held after an answer without records. For the control thread.
 */
#ifndef ZPROXY_BALANCE_LOOKUP_PART_H
#define ZPROXY_BALANCE_LOOKUP_PART_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "balance/dns.h"
#include "balance/hosts.h"

#define LOOKUP_PARTS   2 /* of a host: A and AAAA */
#define LOOKUP_RETRIES 5 /* the longest wait after failures, in units of resolve_retry */

/* When a name is asked again. In ms. */
struct lookup_refresh {
    uint64_t min;   /* resolve_min, at least 1 */
    uint64_t max;   /* resolve_max */
    uint64_t retry; /* resolve_retry, at least 1 */
    uint64_t hold;  /* resolve_hold; 0: for ever */
};

/* The wait in ms after an answer with this TTL in seconds. */
uint64_t lookup_refresh_answered(const struct lookup_refresh *r, uint32_t ttl);

/* The wait in ms after an answer without records, with its negative TTL in seconds. */
uint64_t lookup_refresh_empty(const struct lookup_refresh *r, uint32_t ttl);

/* The wait in ms after a failure: twice *last, which it updates; *last is 0 before the first
 * failure. */
uint64_t lookup_refresh_failed(const struct lookup_refresh *r, uint64_t *last);

/* Shared by all lookups. */
struct lookup_context {
    uv_loop_t *loop;
    struct dns *dns;
    struct hosts *hosts;
    struct lookup_refresh refresh;
};

/* One question and its last answer. */
struct lookup_part {
    struct dns_question *question; /* NULL: not in flight */
    struct dns_answer cached;      /* the last records */
    enum dns_outcome outcome;      /* of the last answer */
    const char *error;
    bool answered;         /* there was an answer or a failure */
    bool fresh;            /* answered in this round */
    uint32_t negative_ttl; /* of the last answer, if it had no records */
    uint64_t due;          /* ms of the loop, when it is asked again */
    uint64_t failed;       /* ms, the last wait after a failure */
};

struct lookup_hold {
    uint64_t empty_since; /* ms of the loop, first answer without records; 0: none */
    bool gone;            /* resolve_hold is over: the records were dropped */
};

void lookup_part_cancel(struct lookup_part *p);
bool lookup_part_is_due(const struct lookup_context *c, const struct lookup_part *p);

/* Stores an answer. An answer without records does not drop the former ones; lookup_parts_settle()
 * does. */
void lookup_part_set(const struct lookup_context *c, struct lookup_part *p,
                     const struct dns_reply *reply);
void lookup_part_fail(const struct lookup_context *c, struct lookup_part *p, const char *error);

/* When the held records are dropped, ms of the loop; 0: none are held. */
uint64_t lookup_hold_end(const struct lookup_context *c, const struct lookup_hold *h);
/* Whether lookup_hold_end() has passed. */
bool lookup_hold_is_over(const struct lookup_context *c, struct lookup_hold *h);

/* Applies answers without records, whose meaning depends on the other family. A failure neither
 * begins nor ends the hold. */
void lookup_parts_settle(const struct lookup_context *c, struct lookup_part part[LOOKUP_PARTS],
                         struct lookup_hold *h);

#endif
