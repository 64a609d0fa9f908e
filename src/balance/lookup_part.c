#include "balance/lookup_part.h"

/* ---- when a name is asked again ---- */

static uint64_t bounded(uint64_t ms, uint64_t min, uint64_t max)
{
    if (ms < min)
        ms = min;
    return ms > max ? max : ms;
}

uint64_t lookup_refresh_answered(const struct lookup_refresh *r, uint32_t ttl)
{
    return bounded(ttl * UINT64_C(1000), r->min, r->max);
}

uint64_t lookup_refresh_empty(const struct lookup_refresh *r, uint32_t ttl)
{
    return bounded(ttl * UINT64_C(1000), r->min, r->retry);
}

uint64_t lookup_refresh_failed(const struct lookup_refresh *r, uint64_t *last)
{
    *last = bounded(*last * 2, r->retry, LOOKUP_RETRIES * r->retry);
    return *last;
}

/* ---- one question ---- */

void lookup_part_cancel(struct lookup_part *p)
{
    if (p->question != NULL)
        dns_cancel(p->question);
    p->question = NULL;
}

void lookup_part_fail(const struct lookup_context *c, struct lookup_part *p, const char *error)
{
    p->outcome = DNS_FAILED;
    p->error = error;
    p->due = uv_now(c->loop) + lookup_refresh_failed(&c->refresh, &p->failed);
}

void lookup_part_set(const struct lookup_context *c, struct lookup_part *p,
                     const struct dns_reply *reply)
{
    struct dns_answer copy = { .count = 0 };
    p->answered = true;
    p->fresh = true;
    if (reply->outcome == DNS_FAILED) {
        lookup_part_fail(c, p, reply->error);
        return;
    }
    if (reply->outcome == DNS_ANSWERED && dns_answer_copy(&copy, &reply->answer) < 0) {
        lookup_part_fail(c, p, "out of memory");
        return;
    }
    p->outcome = reply->outcome;
    p->error = reply->error;
    p->failed = 0;
    p->negative_ttl = reply->answer.negative_ttl;
    if (reply->outcome == DNS_EMPTY)
        return;
    dns_answer_free(&p->cached);
    p->cached = copy;
    p->due = uv_now(c->loop) + lookup_refresh_answered(&c->refresh, copy.ttl);
}

bool lookup_part_is_due(const struct lookup_context *c, const struct lookup_part *p)
{
    return !p->answered || p->due <= uv_now(c->loop);
}

/* ---- held records ---- */

uint64_t lookup_hold_end(const struct lookup_context *c, const struct lookup_hold *h)
{
    return h->empty_since == 0 || h->gone || c->refresh.hold == 0
               ? 0
               : h->empty_since + c->refresh.hold;
}

bool lookup_hold_is_over(const struct lookup_context *c, struct lookup_hold *h)
{
    uint64_t end = lookup_hold_end(c, h);
    if (end != 0 && end <= uv_now(c->loop))
        h->gone = true;
    return h->gone;
}

/* ---- both families ---- */

/* One family has no records and the other has some: the former records are not held. */
static void settle_missing(const struct lookup_context *c, struct lookup_part *p,
                           const struct lookup_part *other)
{
    dns_answer_free(&p->cached);
    if (!p->fresh)
        return;
    p->due = p->negative_ttl != DNS_TTL_NONE
                 ? uv_now(c->loop) + lookup_refresh_answered(&c->refresh, p->negative_ttl)
                 : other->due;
}

/* No family has records: the former ones are held for a time, and the question is asked again soon.
 */
static void settle_empty(const struct lookup_context *c, struct lookup_part part[LOOKUP_PARTS],
                         struct lookup_hold *h)
{
    if (h->empty_since == 0)
        h->empty_since = uv_now(c->loop);
    bool gone = lookup_hold_is_over(c, h);
    for (int i = 0; i < LOOKUP_PARTS; i++) {
        struct lookup_part *p = &part[i];
        uint32_t ttl = p->negative_ttl != DNS_TTL_NONE ? p->negative_ttl : 0;
        if (p->fresh && p->outcome == DNS_EMPTY)
            p->due = uv_now(c->loop) + lookup_refresh_empty(&c->refresh, ttl);
        if (gone)
            dns_answer_free(&p->cached);
    }
}

void lookup_parts_settle(const struct lookup_context *c, struct lookup_part part[LOOKUP_PARTS],
                         struct lookup_hold *h)
{
    bool has_some = false; /* a family has records */
    bool may_have = false; /* a family that failed had some before */
    bool is_empty = h->empty_since != 0;
    for (int i = 0; i < LOOKUP_PARTS; i++) {
        const struct lookup_part *p = &part[i];
        has_some = has_some || (p->outcome == DNS_ANSWERED && p->cached.count > 0);
        may_have = may_have || (p->outcome == DNS_FAILED && p->cached.count > 0);
        is_empty = is_empty || (p->answered && p->outcome == DNS_EMPTY);
    }
    if (has_some) {
        *h = (struct lookup_hold){ .gone = false };
    } else if (is_empty && (h->empty_since != 0 || !may_have)) {
        settle_empty(c, part, h);
        return;
    }
    for (int i = 0; i < LOOKUP_PARTS; i++)
        if (part[i].answered && part[i].outcome == DNS_EMPTY)
            settle_missing(c, &part[i], &part[LOOKUP_PARTS - 1 - i]);
}
