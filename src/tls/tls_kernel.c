#include "tls/tls_kernel.h"

#include <errno.h>
#include <string.h>

#include "tls/ktls_support.h"
#include "tls/tls_keys.h"

/* The kernel is asked for the number of records when this many may have been sent since. */
#define COUNT_EVERY (1 << 20)

/* A record ends when it is full, when it has this many fragments (MAX_SKB_FRAGS), or with the call.
 */
#define RECORD_FRAGMENTS 17
#define RECORD_BYTES     (16 * 1024)

#define ALERT_SIZE 2

static bool has_secrets(const struct tls_kernel *k)
{
    return k->secret[TLS_RECEIVE].length > 0;
}

static uint64_t overhead_of(const struct tls_kernel *k, uint64_t records)
{
    return records * tls_cipher_overhead(k->version, k->cipher);
}

/* ---- taken ---- */

/* Once the kernel has the keys of one direction, the connection cannot go back to user space. */
static int set_both(int fd, const struct tls_keys keys[TLS_DIRECTIONS], bool *lost)
{
    int rc = ktls_attach(fd);
    if (rc == 0)
        rc = ktls_set_keys(fd, TLS_SEND, &keys[TLS_SEND]);
    if (rc < 0)
        return rc;
    rc = ktls_set_keys(fd, TLS_RECEIVE, &keys[TLS_RECEIVE]);
    *lost = rc < 0;
    return rc;
}

int tls_kernel_take(struct tls_kernel *k, struct ssl_st *ssl, int fd, uint64_t data, bool *lost)
{
    struct tls_keys keys[TLS_DIRECTIONS] = { 0 };
    uint64_t written = 0;
    *lost = false;
    int rc = tls_keys_get(ssl, keys);
    if (rc == 0)
        rc = ktls_written(fd, &written);
    if (rc == 0)
        rc = set_both(fd, keys, lost);
    if (rc == 0) {
        *k = (struct tls_kernel){
            .server = keys[TLS_SEND].server,
            .version = keys[TLS_SEND].version,
            .cipher = keys[TLS_SEND].cipher,
        };
        k->beside = written - data - overhead_of(k, keys[TLS_SEND].sequence);
        for (int i = 0; i < TLS_DIRECTIONS && ktls_replaces_keys(); i++)
            k->secret[i] = keys[i].secret;
    }
    for (int i = 0; i < TLS_DIRECTIONS; i++)
        tls_cipher_clear(&keys[i]);
    return rc;
}

/* ---- new keys ---- */

static int replace_keys(struct tls_kernel *k, int fd, enum tls_direction direction)
{
    struct tls_keys keys = { .version = k->version,
                             .cipher = k->cipher,
                             .secret = k->secret[direction] };
    int rc = tls_keys_update(&keys);
    if (rc == 0)
        rc = ktls_set_keys(fd, direction, &keys);
    if (rc == 0)
        k->secret[direction] = keys.secret;
    tls_cipher_clear(&keys);
    return rc;
}

int tls_kernel_update(struct tls_kernel *k, int fd)
{
    uint64_t records = 0;
    int rc = ktls_send_key_update(fd);
    if (rc == 0)
        rc = ktls_get_sequence(fd, TLS_SEND, k->cipher, &records);
    if (rc == 0)
        rc = replace_keys(k, fd, TLS_SEND);
    if (rc < 0)
        return rc;
    k->update_due = false;
    k->uncounted = 0;
    k->beside += TLS_KEY_UPDATE_SIZE + overhead_of(k, records);
    return 0;
}

static int follow_update(struct tls_kernel *k, int fd, bool requested)
{
    if (!has_secrets(k))
        return -EKEYEXPIRED;
    int rc = replace_keys(k, fd, TLS_RECEIVE);
    if (rc < 0 || !requested || k->close_sent) /* nothing may follow it (RFC 8446, 6.1) */
        return rc;
    k->update_due = true;
    rc = tls_kernel_update(k, fd);
    return rc == -EAGAIN ? 0 : rc;
}

int tls_kernel_count(struct tls_kernel *k, int fd, size_t bytes, uint32_t fragments)
{
    uint64_t records = 0;
    if (bytes > 0)
        k->reader.quiet = 0; /* a peer that gets data may change its keys by its amount */
    if (k->cipher == TLS_CHACHA20_POLY1305)
        return 0;
    k->uncounted += (uint32_t)(1 + fragments / RECORD_FRAGMENTS + bytes / RECORD_BYTES);
    if (k->uncounted < COUNT_EVERY)
        return 0;
    k->uncounted = 0;
    int rc = ktls_get_sequence(fd, TLS_SEND, k->cipher, &records);
    if (rc < 0 || records < TLS_GCM_RECORDS_MAX - 2 * COUNT_EVERY)
        return rc;
    if (!has_secrets(k))
        return -EKEYEXPIRED;
    rc = tls_kernel_update(k, fd);
    k->update_due = rc == -EAGAIN;
    return rc == -EAGAIN ? 0 : rc;
}

/* ---- control records ---- */

/* The alert is lost if the socket is full: it only explains what follows. */
static int protest(struct tls_kernel *k, int fd)
{
    if (!k->close_sent)
        (void)ktls_send_alert(fd, true, (enum tls_alert)k->reader.alert);
    return -EPROTO;
}

static int refuse_renegotiation(struct tls_kernel *k, int fd)
{
    if (!k->close_sent && ktls_send_alert(fd, false, TLS_ALERT_NO_RENEGOTIATION) == 0)
        k->beside += ALERT_SIZE;
    return 0;
}

int tls_kernel_control(struct tls_kernel *k, int fd)
{
    int event = ktls_read_control(fd, &k->reader, k->version, k->server);
    if (event < 0)
        return event;
    switch ((enum tls_control_event)event) {
    case TLS_CONTROL_IGNORED:
        return 0;
    case TLS_CONTROL_CLOSE_NOTIFY:
        k->close_received = true;
        return 1;
    case TLS_CONTROL_FATAL:
        return -EPROTO;
    case TLS_CONTROL_KEY_UPDATE:
        return follow_update(k, fd, false);
    case TLS_CONTROL_KEY_REQUEST:
        return follow_update(k, fd, true);
    case TLS_CONTROL_RENEGOTIATE:
        return refuse_renegotiation(k, fd);
    case TLS_CONTROL_UNEXPECTED:
    case TLS_CONTROL_FLOOD:
        break;
    }
    return protest(k, fd);
}

int tls_kernel_received(struct tls_kernel *k, int fd)
{
    return tls_control_take_data(&k->reader) ? 0 : protest(k, fd);
}

/* ---- the end ---- */

int tls_kernel_close(struct tls_kernel *k, int fd)
{
    if (k->close_sent)
        return 0;
    int rc = ktls_send_alert(fd, false, TLS_ALERT_CLOSE_NOTIFY);
    if (rc < 0)
        return rc;
    k->close_sent = true;
    k->beside += ALERT_SIZE;
    return 0;
}

int tls_kernel_is_flushed(const struct tls_kernel *k, int fd, uint64_t data)
{
    uint64_t records = 0;
    int rc = ktls_get_sequence(fd, TLS_SEND, k->cipher, &records);
    if (rc < 0)
        return rc;
    return ktls_is_flushed(fd, k->beside + data + overhead_of(k, records));
}

/* ---- a handover ---- */

static bool is_secret(const struct tls_secret *s)
{
    return s->length == 0 || s->length == 32 || s->length == TLS_SECRET_MAX;
}

/* Looks at the byte: another value than 0 and 1 is no bool. */
static bool is_bool(const bool *flag)
{
    unsigned char byte;
    memcpy(&byte, flag, 1);
    return byte <= 1;
}

bool tls_kernel_is_valid(const struct tls_kernel *k)
{
    return is_bool(&k->server) && is_bool(&k->close_received) && is_bool(&k->close_sent) &&
           is_bool(&k->update_due) && k->cipher < TLS_CIPHERS &&
           k->reader.event <= TLS_CONTROL_FLOOD &&
           (k->version == TLS_1_2 || k->version == TLS_1_3) && is_secret(&k->secret[TLS_RECEIVE]) &&
           is_secret(&k->secret[TLS_SEND]) &&
           k->secret[TLS_RECEIVE].length == k->secret[TLS_SEND].length;
}
