#include <errno.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tls/tls_control.h"
#include "tls/tls_error.h"
#include "tls/tls_keys.h"
#include "tls/tls_stream_internal.h"

#define ALERT_FATAL   2
#define ALERT_WARNING 1

/* A KeyUpdate costs as much time as this many records with little data. A peer may send 1,000 of
 * them, and more as far as data pays for them: records in either direction, and their bytes. */
#define UPDATE_COST     16
#define UPDATE_DEBT_MAX (1000 * UPDATE_COST)
#define PAYING_BYTES    1024

/* Results of a step beside -errno. */
enum {
    STEP_GO_ON,
    STEP_MORE, /* bytes of the socket are missing */
    STEP_FULL, /* the caller's room is used */
};

/* What was read by the tls_stream_read() that is in progress on this thread. */
static _Thread_local struct {
    size_t at;
    size_t end;
    unsigned char bytes[OUT_MAX];
} in;

/* ---- begin and end ---- */

int tls_stream_records_take(struct tls_stream *s)
{
    struct tls_keys keys[TLS_DIRECTIONS] = { 0 };
    if (SSL_has_pending(s->ssl) == 1 || s->close_sent || s->is_final)
        return -EBUSY;
    int rc = tls_keys_get(s->ssl, keys);
    if (rc == 0) {
        s->records = tls_records_new(keys);
        rc = s->records == NULL ? -ENOMEM : 0;
    }
    for (int i = 0; i < TLS_DIRECTIONS; i++)
        tls_cipher_clear(&keys[i]);
    if (rc == 0)
        tls_stream_free_ssl(s);
    return rc;
}

void tls_stream_records_fini(struct tls_stream *s)
{
    tls_records_free(s->records);
    buffer_free(&s->input);
    buffer_free(&s->plain);
}

void tls_stream_records_trim(struct tls_stream *s)
{
    buffer_trim(&s->input);
    buffer_trim(&s->plain);
}

bool tls_stream_records_pending(const struct tls_stream *s)
{
    return buffer_size(&s->input) > 0 || buffer_size(&s->plain) > 0;
}

/* ---- sent ---- */

static int send_control(struct tls_stream *s, enum tls_record_type type, const void *bytes,
                        size_t size)
{
    unsigned char record[TLS_KEY_UPDATE_SIZE + TLS_RECORD_HEADER + TLS_RECORD_OVERHEAD];
    if (s->error != 0)
        return -s->error;
    ssize_t n = tls_records_seal(s->records, type, bytes, size, record);
    if (n < 0) {
        s->error = (int)-n;
        return (int)n;
    }
    tls_stream_send(s, record, (size_t)n);
    return s->error != 0 ? -s->error : 0;
}

/* Nothing may follow close_notify (RFC 8446, 6.1). */
static int send_alert(struct tls_stream *s, uint8_t level, uint8_t alert)
{
    const unsigned char bytes[] = { level, alert };
    if (s->close_sent && alert != TLS_ALERT_CLOSE_NOTIFY)
        return 0;
    return send_control(s, TLS_RECORD_ALERT, bytes, sizeof bytes);
}

static int send_key_update(struct tls_stream *s)
{
    static const unsigned char update[TLS_KEY_UPDATE_SIZE] = { TLS_KEY_UPDATE, 0, 0, 1, 0 };
    int rc = send_control(s, TLS_RECORD_HANDSHAKE, update, sizeof update);
    return rc < 0 ? rc : tls_records_update(s->records, TLS_SEND);
}

static void pay(struct tls_stream *s, size_t data)
{
    uint32_t paid = 1 + (uint32_t)(data / PAYING_BYTES);
    s->update_debt -= paid < s->update_debt ? paid : s->update_debt;
}

int tls_stream_records_write(struct tls_stream *s, const void *data, size_t size)
{
    const unsigned char *from = data;
    s->reader.quiet = 0; /* see tls_stream_write() */
    if (tls_records_are_used_up(s->records)) {
        tls_stream_set_why(s, "a key has encrypted as many records as it may");
        return -EKEYEXPIRED;
    }
    if (tls_records_update_is_due(s->records)) {
        int rc = send_key_update(s);
        if (rc < 0)
            return rc;
    }
    while (size > 0 && s->error == 0) {
        size_t piece = size < TLS_RECORD_DATA ? size : TLS_RECORD_DATA;
        unsigned char *to = tls_stream_collect(s, piece + TLS_RECORD_OVERHEAD);
        ssize_t n = tls_records_seal(s->records, TLS_RECORD_APPLICATION_DATA, from, piece, to);
        if (n < 0)
            s->error = (int)-n;
        else
            tls_stream_collected((size_t)n);
        pay(s, piece);
        from += piece;
        size -= piece;
    }
    tls_stream_send_collected(s);
    return -s->error;
}

int tls_stream_records_close(struct tls_stream *s)
{
    return send_alert(s, ALERT_WARNING, TLS_ALERT_CLOSE_NOTIFY);
}

/* ---- received: records without data ---- */

static int refuse(struct tls_stream *s, uint8_t alert, const char *why)
{
    tls_stream_set_why(s, why);
    (void)send_alert(s, ALERT_FATAL, alert); /* it only explains what follows */
    return -EPROTO;
}

static int take_key_update(struct tls_stream *s, bool requested)
{
    s->update_debt += UPDATE_COST;
    if (s->update_debt > UPDATE_DEBT_MAX)
        return refuse(s, TLS_ALERT_UNEXPECTED_MESSAGE, "too many changes of keys");
    int rc = tls_records_update(s->records, TLS_RECEIVE);
    if (rc == 0 && requested && !s->close_sent)
        rc = send_key_update(s);
    return rc;
}

static int take_fatal(struct tls_stream *s)
{
    char text[TLS_ERROR_MAX];
    tls_stream_set_why(s, tls_error_control(&s->reader, text));
    return -EPROTO;
}

static int refuse_control(struct tls_stream *s)
{
    char text[TLS_ERROR_MAX];
    return refuse(s, s->reader.alert, tls_error_control(&s->reader, text));
}

/* -ENODATA: close_notify. */
static int take_control(struct tls_stream *s, uint8_t type, const unsigned char *bytes, size_t size)
{
    uint16_t version = tls_records_version(s->records);
    switch (tls_control_judge(&s->reader, type, bytes, size, version, s->is_server)) {
    case TLS_CONTROL_IGNORED:
        return STEP_GO_ON;
    case TLS_CONTROL_CLOSE_NOTIFY:
        return -ENODATA;
    case TLS_CONTROL_FATAL:
        return take_fatal(s);
    case TLS_CONTROL_KEY_UPDATE:
        return take_key_update(s, false);
    case TLS_CONTROL_KEY_REQUEST:
        return take_key_update(s, true);
    case TLS_CONTROL_RENEGOTIATE:
        return send_alert(s, ALERT_WARNING, TLS_ALERT_NO_RENEGOTIATION);
    case TLS_CONTROL_FLOOD:
    case TLS_CONTROL_UNEXPECTED:
        break;
    }
    return refuse_control(s);
}

/* As OpenSSL answers. */
static int refuse_record(struct tls_stream *s, int error)
{
    bool is_13 = tls_records_version(s->records) == TLS_1_3;
    switch (error) {
    case EBADMSG:
        (void)refuse(s, TLS_ALERT_BAD_RECORD_MAC, "a record was tampered with");
        return -EBADMSG;
    case EMSGSIZE:
        return refuse(s, TLS_ALERT_RECORD_OVERFLOW, "a record is too long");
    case EPROTONOSUPPORT:
        return refuse(s, is_13 ? TLS_ALERT_DECODE_ERROR : TLS_ALERT_PROTOCOL_VERSION,
                      "a record of another version");
    }
    return refuse(s, TLS_ALERT_UNEXPECTED_MESSAGE, "unexpected message");
}

/* ---- received: data ---- */

/* Keeps what the caller has no room for. */
static int keep_plain(struct tls_stream *s, const unsigned char *bytes, size_t size)
{
    int rc = buffer_append(&s->plain, bytes, size);
    return rc < 0 ? rc : STEP_FULL;
}

static size_t take_plain(struct tls_stream *s, unsigned char *data, size_t size)
{
    size_t left = buffer_size(&s->plain);
    size_t n = left < size ? left : size;
    if (n == 0)
        return 0;
    memcpy(data, buffer_bytes(&s->plain), n);
    buffer_consume(&s->plain, n);
    return n;
}

static bool take_data(struct tls_stream *s, size_t size)
{
    pay(s, size);
    return tls_control_take_data(&s->reader);
}

/* A record that is longer than the room is decrypted beside it. */
static int open_beside(struct tls_stream *s, size_t record, unsigned char *data, size_t room,
                       size_t *got)
{
    unsigned char bytes[TLS_RECORD_MAX];
    uint8_t type = 0;
    ssize_t n = tls_records_open(s->records, in.bytes + in.at, record, &type, bytes);
    in.at += record;
    if (n < 0)
        return refuse_record(s, (int)-n);
    if (type != TLS_RECORD_APPLICATION_DATA || n == 0)
        return take_control(s, type, bytes, (size_t)n);
    if (!take_data(s, (size_t)n))
        return refuse(s, TLS_ALERT_UNEXPECTED_MESSAGE, "unexpected message");
    *got = (size_t)n < room ? (size_t)n : room;
    memcpy(data, bytes, *got);
    return *got < (size_t)n ? keep_plain(s, bytes + *got, (size_t)n - *got) : STEP_GO_ON;
}

static int open_into(struct tls_stream *s, size_t record, unsigned char *data, size_t *got)
{
    uint8_t type = 0;
    ssize_t n = tls_records_open(s->records, in.bytes + in.at, record, &type, data);
    in.at += record;
    if (n < 0)
        return refuse_record(s, (int)-n);
    if (type != TLS_RECORD_APPLICATION_DATA || n == 0)
        return take_control(s, type, data, (size_t)n);
    if (!take_data(s, (size_t)n))
        return refuse(s, TLS_ALERT_UNEXPECTED_MESSAGE, "unexpected message");
    *got = (size_t)n;
    return STEP_GO_ON;
}

/* Decrypts the next record, if it is complete, and if there is room or nothing was decrypted yet.
 */
static int open_next(struct tls_stream *s, unsigned char *data, size_t size, size_t *done)
{
    size_t have = in.end - in.at, got = 0;
    if (have < TLS_RECORD_HEADER)
        return STEP_MORE;
    ssize_t record = tls_records_size(s->records, in.bytes + in.at);
    if (record < 0)
        return refuse_record(s, (int)-record);
    if (have < (size_t)record)
        return STEP_MORE;
    bool fits = tls_records_plaintext(s->records, (size_t)record) <= size - *done;
    if (!fits && *done > 0)
        return STEP_FULL;
    int rc = fits ? open_into(s, (size_t)record, data + *done, &got)
                  : open_beside(s, (size_t)record, data + *done, size - *done, &got);
    *done += got;
    return rc == STEP_GO_ON && *done > 0 && *done == size ? STEP_FULL : rc;
}

/* ---- the socket ---- */

static void load_input(struct tls_stream *s)
{
    in.at = 0;
    in.end = buffer_size(&s->input);
    if (in.end == 0)
        return;
    memcpy(in.bytes, buffer_bytes(&s->input), in.end);
    buffer_consume(&s->input, in.end);
}

static int save_input(struct tls_stream *s)
{
    return buffer_append(&s->input, in.bytes + in.at, in.end - in.at);
}

/* Bytes that are worth reading: not many more than the caller has room for, but the whole of the
 * record that has begun. */
static size_t wanted(const struct tls_stream *s, size_t room)
{
    size_t most = sizeof in.bytes - in.end;
    size_t want = room + 4 * TLS_RECORD_OVERHEAD;
    ssize_t record =
        in.end < TLS_RECORD_HEADER ? TLS_RECORD_HEADER : tls_records_size(s->records, in.bytes);
    if (record > 0 && (size_t)record > in.end && want < (size_t)record - in.end)
        want = (size_t)record - in.end;
    return want < most ? want : most;
}

/* Returns STEP_GO_ON when something was read. */
static int receive(struct tls_stream *s, size_t room)
{
    if (s->has_ended)
        return -ECONNABORTED;
    memmove(in.bytes, in.bytes + in.at, in.end - in.at);
    in.end -= in.at;
    in.at = 0;
    size_t size = wanted(s, room);
    ssize_t n;
    do {
        n = recv(s->fd, in.bytes + in.end, size, MSG_DONTWAIT);
    } while (n == -1 && errno == EINTR);
    if (n == -1) {
        s->drained = errno == EAGAIN;
        return -errno;
    }
    s->has_ended = n == 0;
    s->received |= n > 0;
    s->drained = n > 0 && (size_t)n < size;
    in.end += (size_t)n;
    return n == 0 ? -ECONNABORTED : STEP_GO_ON;
}

/* The stream ends with rc: after n bytes. */
static ssize_t finish(struct tls_stream *s, int rc, size_t n)
{
    if (rc < 0 && rc != -EAGAIN) {
        s->final = rc == -ENODATA ? 0 : rc;
        s->is_final = true;
    }
    if (n > 0)
        return (ssize_t)n;
    return s->is_final ? s->final : -EAGAIN;
}

ssize_t tls_stream_records_read(struct tls_stream *s, void *data, size_t size)
{
    s->drained = false; /* bytes may have come since the last read */
    size_t n = take_plain(s, data, size);
    int rc = STEP_GO_ON;
    if (n > 0)
        return (ssize_t)n;
    load_input(s);
    while (rc == STEP_GO_ON) {
        rc = open_next(s, data, size, &n);
        if (rc == STEP_MORE)
            rc = n > 0 && s->drained ? -EAGAIN : receive(s, size - n);
    }
    int saved = save_input(s);
    return finish(s, saved < 0 ? saved : rc, n);
}

/* A record with data is decrypted and kept. */
void tls_stream_records_look_for_end(struct tls_stream *s)
{
    unsigned char none;
    if (buffer_size(&s->plain) == 0)
        (void)tls_stream_records_read(s, &none, 0);
}
