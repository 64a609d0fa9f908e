#include "session/tls_switch.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/human.h"
#include "base/log.h"
#include "relay/sock.h"
#include "tls/ktls_support.h"
#include "tls/tls_side.h"
#include "tls/tls_stream.h"

#define SEND_BUFFER_MIN (64 * 1024)

/* Why the kernel is not even asked, which is known before the handshake. */
static enum tls_user_reason reason_early(const struct session *s, const struct side *sd,
                                         const struct config_tls *conf)
{
    const struct relay_stock *stock = &s->sessions->relay_stock;
    if (conf->kernel == CONFIG_TLS_KERNEL_NO)
        return TLS_USER_CONFIG;
    if (!stock->splice)
        return TLS_USER_RELAY;
    if (stock->pipes.size < KTLS_RECORD_SLOTS * PIPE_PAGE)
        return TLS_USER_PIPE_SIZE;
    if (!ktls_is_usable())
        return TLS_USER_NO_KERNEL;
    return side_is(sd, SIDE_TCP) ? TLS_USER_NONE : TLS_USER_NO_TCP;
}

void tls_switch_prepare(const struct session *s, const struct side *sd,
                        const struct config_tls *conf)
{
    if (reason_early(s, sd, conf) != TLS_USER_NONE)
        tls_stream_read_ahead(sd->tls->stream);
}

static enum tls_user_reason reason_before(const struct session *s, const struct side *sd,
                                          const struct config_tls *conf)
{
    enum tls_user_reason why = reason_early(s, sd, conf);
    if (why != TLS_USER_NONE)
        return why;
    if (side_is(sd, SIDE_ENDED))
        return TLS_USER_ENDED;
    if (tls_stream_has_rest(sd->tls->stream) || tls_stream_has_pending(sd->tls->stream))
        return TLS_USER_PENDING;
    return TLS_USER_NONE;
}

static enum tls_user_reason reason_of(int error)
{
    switch (error) {
    case ENOTCONN:
        return TLS_USER_ENDED;
    case EOPNOTSUPP:
    case EINVAL: /* this kernel has no such cipher */
    case ENOENT:
        return TLS_USER_CIPHER;
    case EMSGSIZE:
        return TLS_USER_RECORD_SIZE;
    case EBUSY:
        return TLS_USER_PENDING;
    }
    return TLS_USER_ERROR;
}

/* Reasons that hold for the whole machine are logged at the start (tls_kernel_report.h). */
static bool was_said(enum tls_user_reason why)
{
    static atomic_flag said[TLS_USER_REASONS]; /* all clear */
    if (why < TLS_USER_NO_TCP || why >= TLS_USER_REASONS)
        return true;
    return atomic_flag_test_and_set_explicit(&said[why], memory_order_relaxed);
}

/* Counts a connection once. */
static void note_reason(struct session *s, struct tls_side *t, enum tls_user_reason why)
{
    if (t->user != TLS_USER_NONE)
        return;
    t->user = (uint8_t)why;
    counter_add(&s->sessions->relay_stock.tls_user[why], 1);
}

static void stay(struct session *s, struct side *sd, enum tls_user_reason why, int error)
{
    struct log_line line;
    char text[HUMAN_ERROR_MAX];
    note_reason(s, sd->tls, why);
    tls_stream_stay(sd->tls->stream);
    side_set(sd, SIDE_TLS);
    if (was_said(why) || !log_is_enabled(LOG_LEVEL_NOTICE))
        return;
    log_begin(&line, LOG_LEVEL_NOTICE, "tls_user");
    log_uint(&line, "id", s->id);
    log_str(&line, "listener", s->frontend->conf->name);
    log_str(&line, "cipher", sd->tls->cipher);
    log_str(&line, "reason", tls_user_reason_name(why));
    if (error != 0)
        log_str(&line, "error", human_error(error, text));
    log_str(&line, "msg", "TLS stays in user space; said once, counted always");
    log_end(&line);
}

/* With a send buffer that has no room for a record, Linux can stop for ever: the rest of a record
 * is queued, not pushed, and no acknowledgement comes that would push it. */
static void enlarge_send_buffer(const struct session *s, const struct side *sd)
{
    uint64_t size = s->frontend->conf->send_buffer;
    if (size != 0 && size < SEND_BUFFER_MIN)
        sock_set_send_buffer(sd->fd, SEND_BUFFER_MIN);
}

int tls_switch(struct session *s, struct side *sd, const struct config_tls *conf)
{
    const struct flow *to_it = sd == &s->client ? &s->down : &s->up;
    enum tls_user_reason why = reason_before(s, sd, conf);
    int rc = 0;
    if (why == TLS_USER_NONE) {
        enlarge_send_buffer(s, sd);
        rc = tls_side_enter_kernel(sd->tls, sd->fd, to_it->bytes);
        if (rc == -EIO)
            return rc;
        if (rc < 0)
            why = reason_of(-rc);
    }
    if (why != TLS_USER_NONE) {
        stay(s, sd, why, -rc);
    } else {
        side_set_ktls(sd);
        counter_add(&s->sessions->relay_stock.tls_kernel, 1);
    }
    side_set(sd, SIDE_READABLE); /* bytes may have come with the handshake */
    return 0;
}

int tls_switch_later(struct session *s, struct side *sd, const struct config_tls *conf)
{
    enum tls_user_reason why = reason_early(s, sd, conf);
    if (sd->tls->version != TLS_1_3)
        return tls_switch(s, sd, conf);
    if (why != TLS_USER_NONE)
        note_reason(s, sd->tls, why);
    sd->tls->defers = true;
    side_set(sd, SIDE_TLS | SIDE_READABLE);
    return 0;
}

/* Whether a flow is between two steps: all that was read is delivered, and more may come. */
static bool is_between(const struct flow *f)
{
    return f->state == FLOW_FILL;
}

static bool has_ended(const struct flow *f)
{
    return f->state == FLOW_DONE || f->state == FLOW_CLOSE;
}

int tls_switch_deferred(struct session *s, struct side *sd, const struct config_tls *conf)
{
    struct tls_side *t = sd->tls;
    if (has_ended(&s->up) || has_ended(&s->down)) {
        enum tls_user_reason why = reason_before(s, sd, conf);
        t->defers = false;
        stay(s, sd, why == TLS_USER_NONE ? TLS_USER_ENDED : why, 0);
        return 1;
    }
    if (!tls_stream_has_received(t->stream) || !is_between(&s->up) || !is_between(&s->down) ||
        tls_stream_has_rest(t->stream) || tls_stream_has_pending(t->stream))
        return 0;
    t->defers = false;
    side_clear(sd, SIDE_TLS);
    int rc = tls_switch(s, sd, conf);
    return rc < 0 ? rc : 1;
}
