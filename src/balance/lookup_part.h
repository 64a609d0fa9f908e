/* One question of a look-up: its last answer, when it is asked again, and for how long the records
 * stay in use of which an answer says that there are not any more.
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

/* What all look-ups of a process have in common. */
struct lookup_context {
    uv_loop_t *loop;
    struct dns *dns;
    struct hosts *hosts;
    struct lookup_refresh refresh;
};

/* One question, and what is known of its answer. */
struct lookup_part {
    struct dns_question *question; /* NULL: not on its way */
    struct dns_answer cached;      /* the last good records */
    enum dns_outcome outcome;      /* of the last answer */
    const char *error;
    bool answered;         /* or failed, at all */
    bool fresh;            /* in this round */
    uint32_t negative_ttl; /* of the last answer, if it said that there is nothing */
    uint64_t due;          /* when it is asked again; ms of the loop */
    uint64_t failed;       /* the last wait after a failure */
};

struct lookup_hold {
    uint64_t
        empty_since; /* an answer has said that there is nothing; ms of the loop; 0: none has */
    bool gone;       /* for so long that nothing is left for us either */
};

void lookup_part_cancel(struct lookup_part *p);
bool lookup_part_is_due(const struct lookup_context *c, const struct lookup_part *p);

/* Takes an answer in. What it says there is not is dropped later: others may hold it. */
void lookup_part_set(const struct lookup_context *c, struct lookup_part *p,
                     const struct dns_reply *reply);
void lookup_part_fail(const struct lookup_context *c, struct lookup_part *p, const char *error);

/* When what is held goes; 0: nothing is. */
uint64_t lookup_hold_end(const struct lookup_context *c, const struct lookup_hold *h);
/* Whether it has gone. */
bool lookup_hold_is_over(const struct lookup_context *c, struct lookup_hold *h);

/* What an answer without records means depends on the other family's. A failure neither begins the
 * hold nor ends it. */
void lookup_parts_settle(const struct lookup_context *c, struct lookup_part part[LOOKUP_PARTS],
                         struct lookup_hold *h);

#endif
