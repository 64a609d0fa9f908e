#include "session/session_record_tls.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "tls/tls_side.h"

static struct side *side_of(struct session *s, uint8_t side)
{
    return side == SESSION_RECORD_TLS_CLIENT ? &s->client : &s->server;
}

/* ---- sent ---- */

uint8_t session_record_tls_sides(const struct session *s)
{
    return (uint8_t)((side_is(&s->client, SIDE_KTLS) ? SESSION_RECORD_TLS_CLIENT : 0) |
                     (side_is(&s->server, SIDE_KTLS) ? SESSION_RECORD_TLS_SERVER : 0));
}

void session_record_tls(const struct session *s, uint8_t side, struct session_tls *tls)
{
    const struct tls_side *t = side == SESSION_RECORD_TLS_CLIENT ? s->client.tls : s->server.tls;
    memset(tls, 0, sizeof *tls);
    tls->id = s->id;
    tls->side = side;
    tls->resumed = t->resumed;
    tls->has_peer = t->peer != NULL;
    tls->kernel = t->kernel;
    text_copy(tls->cipher, sizeof tls->cipher, t->cipher);
    text_copy(tls->peer, sizeof tls->peer, t->peer == NULL ? "" : t->peer);
}

/* ---- checked ---- */

static bool ends(const char *text, size_t size)
{
    return strnlen(text, size) < size;
}

const char *session_record_check_tls(const struct session *s, const struct session_tls *tls)
{
    uint64_t sequence = 0;
    const struct side *sd = tls->side == SESSION_RECORD_TLS_CLIENT ? &s->client : &s->server;
    if (tls->side != SESSION_RECORD_TLS_CLIENT && tls->side != SESSION_RECORD_TLS_SERVER)
        return "its TLS belongs to no side";
    if (tls->resumed > 1 || tls->has_peer > 1)
        return "a flag of its TLS is neither 0 nor 1";
    if (!tls_kernel_is_valid(&tls->kernel) ||
        tls->kernel.server != (tls->side == SESSION_RECORD_TLS_CLIENT))
        return "its TLS is in no possible state";
    if (tls->cipher[0] == '\0' || !ends(tls->cipher, sizeof tls->cipher) ||
        !ends(tls->peer, sizeof tls->peer))
        return "a name of its TLS has no end";
    if (sd->fd == -1 || sd->tls != NULL ||
        ktls_get_sequence(sd->fd, TLS_SEND, tls->kernel.cipher, &sequence) < 0)
        return "its socket has no TLS in the kernel";
    return NULL;
}

/* ---- restored ---- */

int session_record_set_tls(struct session *s, const struct session_tls *tls)
{
    struct side *sd = side_of(s, tls->side);
    sd->tls = tls_side_restore(&tls->kernel, tls->cipher, tls->has_peer ? tls->peer : NULL);
    if (sd->tls == NULL)
        return -ENOMEM;
    sd->tls->resumed = tls->resumed != 0;
    side_set_ktls(sd);
    return 0;
}
