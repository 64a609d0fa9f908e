#include "tls/tls_control.h"

#include "tls/tls_cipher.h"

#define HEADER 4 /* of a handshake message: its type and length */

enum record_type {
    RECORD_ALERT = 21,
    RECORD_HANDSHAKE = 22,
    RECORD_DATA = 23,
};

enum handshake_type {
    HELLO_REQUEST = 0,
    CLIENT_HELLO = 1,
    NEW_SESSION_TICKET = 4,
};

static enum tls_control_event refuse(struct tls_control_reader *r, enum tls_alert alert)
{
    r->alert = (uint8_t)alert;
    return TLS_CONTROL_UNEXPECTED;
}

static enum tls_control_event judge_alert(struct tls_control_reader *r, const unsigned char *bytes,
                                          size_t size, uint16_t version)
{
    if (size != 2)
        return refuse(r, TLS_ALERT_UNEXPECTED_MESSAGE);
    r->alert = bytes[1];
    if (bytes[1] == TLS_ALERT_CLOSE_NOTIFY)
        return TLS_CONTROL_CLOSE_NOTIFY;
    bool warning = bytes[1] == TLS_ALERT_USER_CANCELED || (version == TLS_1_2 && bytes[0] == 1);
    return warning ? TLS_CONTROL_IGNORED : TLS_CONTROL_FATAL;
}

/* What a message of this type is. */
static enum tls_control_event judge_type(uint8_t type, uint16_t version, bool server)
{
    switch (type) {
    case HELLO_REQUEST:
        return version == TLS_1_2 && !server ? TLS_CONTROL_RENEGOTIATE : TLS_CONTROL_UNEXPECTED;
    case CLIENT_HELLO:
        return version == TLS_1_2 && server ? TLS_CONTROL_RENEGOTIATE : TLS_CONTROL_UNEXPECTED;
    case NEW_SESSION_TICKET:
        return version == TLS_1_3 && !server ? TLS_CONTROL_IGNORED : TLS_CONTROL_UNEXPECTED;
    case TLS_KEY_UPDATE:
        return version == TLS_1_3 ? TLS_CONTROL_KEY_UPDATE : TLS_CONTROL_UNEXPECTED;
    }
    return TLS_CONTROL_UNEXPECTED;
}

static enum tls_control_event judge_key_update(struct tls_control_reader *r, size_t content)
{
    if (content != TLS_KEY_UPDATE_SIZE - HEADER)
        return refuse(r, TLS_ALERT_DECODE_ERROR);
    if (r->have < TLS_KEY_UPDATE_SIZE)
        return TLS_CONTROL_IGNORED;
    if (r->message[HEADER] > 1)
        return refuse(r, TLS_ALERT_ILLEGAL_PARAMETER);
    r->have = 0;
    return r->message[HEADER] == 1 ? TLS_CONTROL_KEY_REQUEST : TLS_CONTROL_KEY_UPDATE;
}

/* Another byte of a message has come. Nothing but the header, and a KeyUpdate, is looked at. */
static enum tls_control_event judge_message(struct tls_control_reader *r, uint16_t version,
                                            bool server)
{
    const unsigned char *m = r->message;
    enum tls_control_event event = judge_type(m[0], version, server);
    if (event == TLS_CONTROL_UNEXPECTED)
        return refuse(r, TLS_ALERT_UNEXPECTED_MESSAGE);
    if (r->have < HEADER)
        return TLS_CONTROL_IGNORED;
    size_t content = (size_t)m[1] << 16 | (size_t)m[2] << 8 | m[3];
    if (event == TLS_CONTROL_KEY_UPDATE)
        return judge_key_update(r, content);
    r->skip = (uint32_t)content;
    r->have = 0;
    return event;
}

/* A record may have several messages, and a message may take several records. Nothing may follow a
 * KeyUpdate in its record (RFC 8446, 5.1). */
static enum tls_control_event judge_handshake(struct tls_control_reader *r,
                                              const unsigned char *bytes, size_t size,
                                              uint16_t version, bool server)
{
    enum tls_control_event event = TLS_CONTROL_IGNORED;
    size_t at = r->skip < size ? r->skip : size;
    r->skip -= (uint32_t)at;
    while (at < size) {
        if (event == TLS_CONTROL_KEY_UPDATE || event == TLS_CONTROL_KEY_REQUEST)
            return refuse(r, TLS_ALERT_UNEXPECTED_MESSAGE);
        r->message[r->have++] = bytes[at++];
        enum tls_control_event next = judge_message(r, version, server);
        if (next == TLS_CONTROL_UNEXPECTED)
            return next;
        event = next != TLS_CONTROL_IGNORED ? next : event;
        size_t skipped = r->skip < size - at ? r->skip : size - at;
        r->skip -= (uint32_t)skipped;
        at += skipped;
    }
    return size == 0 ? refuse(r, TLS_ALERT_UNEXPECTED_MESSAGE) : event;
}

static enum tls_control_event judge(struct tls_control_reader *r, uint8_t type,
                                    const unsigned char *bytes, size_t size, uint16_t version,
                                    bool server)
{
    if (type == RECORD_HANDSHAKE)
        return judge_handshake(r, bytes, size, version, server);
    if (r->skip > 0 || r->have > 0) /* a message must not be interrupted */
        return refuse(r, TLS_ALERT_UNEXPECTED_MESSAGE);
    if (type == RECORD_ALERT)
        return judge_alert(r, bytes, size, version);
    if (type == RECORD_DATA && size == 0)
        return TLS_CONTROL_IGNORED;
    return refuse(r, TLS_ALERT_UNEXPECTED_MESSAGE);
}

/* The end of a stream is not one too many. */
static bool ends(enum tls_control_event event)
{
    return event == TLS_CONTROL_CLOSE_NOTIFY || tls_control_is_failure((uint8_t)event);
}

/* Counts records without data. */
static enum tls_control_event judge_quiet(struct tls_control_reader *r,
                                          enum tls_control_event event)
{
    if (ends(event))
        return event;
    if (r->quiet >= TLS_CONTROL_MAX) {
        r->alert = TLS_ALERT_UNEXPECTED_MESSAGE;
        return TLS_CONTROL_FLOOD;
    }
    r->quiet++;
    return event;
}

enum tls_control_event tls_control_judge(struct tls_control_reader *r, uint8_t type,
                                         const unsigned char *bytes, size_t size, uint16_t version,
                                         bool server)
{
    enum tls_control_event event = judge_quiet(r, judge(r, type, bytes, size, version, server));
    r->event = (uint8_t)event;
    return event;
}
