/* Records beside data, after the handshake: alerts, KeyUpdate, tickets, and attempts to renegotiate
 * (RFC 8446, 4.6, 5.1 and 6; RFC 5246, 7.2 and 7.4). What a peer may send is the same whether the
 * kernel decrypts its records or tls_record.h does. Needs no OpenSSL.
 */
#ifndef ZPROXY_TLS_TLS_CONTROL_H
#define ZPROXY_TLS_TLS_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Records without data in a row; after more the peer is thought to do harm. */
#define TLS_CONTROL_MAX 32

/* KeyUpdate: a header of 4 bytes, and whether new keys are wanted from the other end too. */
#define TLS_KEY_UPDATE      24
#define TLS_KEY_UPDATE_SIZE 5

enum tls_alert {
    TLS_ALERT_CLOSE_NOTIFY = 0,
    TLS_ALERT_UNEXPECTED_MESSAGE = 10,
    TLS_ALERT_BAD_RECORD_MAC = 20,
    TLS_ALERT_RECORD_OVERFLOW = 22,
    TLS_ALERT_ILLEGAL_PARAMETER = 47,
    TLS_ALERT_DECODE_ERROR = 50,
    TLS_ALERT_PROTOCOL_VERSION = 70,
    TLS_ALERT_INTERNAL_ERROR = 80,
    TLS_ALERT_USER_CANCELED = 90,
    TLS_ALERT_NO_RENEGOTIATION = 100,
};

/* The state of a connection; zero at first. */
struct tls_control_reader {
    uint32_t skip; /* bytes that are left of a handshake message, which is ignored */
    uint8_t quiet; /* records since the last data */
    uint8_t have;  /* bytes of a message whose other bytes come in the next record */
    uint8_t event; /* the last one, enum tls_control_event */
    uint8_t alert; /* that came with it, or that is to be sent */
    unsigned char message[TLS_KEY_UPDATE_SIZE];
};

enum tls_control_event {
    TLS_CONTROL_IGNORED,      /* a ticket, a warning: nothing to do */
    TLS_CONTROL_CLOSE_NOTIFY, /* the peer sends nothing more */
    TLS_CONTROL_FATAL,        /* an alert that ends the connection */
    TLS_CONTROL_KEY_UPDATE,   /* the peer has changed its keys */
    TLS_CONTROL_KEY_REQUEST,  /* the same, and wants new keys from this end too */
    TLS_CONTROL_RENEGOTIATE,  /* TLS 1.2: the peer wants another handshake; it is to be refused */
    TLS_CONTROL_UNEXPECTED,   /* a message that is not allowed */
    TLS_CONTROL_FLOOD,        /* too many of them */
};

/* Judges a record that has no data. server: this end is the server. */
enum tls_control_event tls_control_judge(struct tls_control_reader *r, uint8_t type,
                                         const unsigned char *bytes, size_t size, uint16_t version,
                                         bool server);

/* Whether an event ends the connection with an error. */
static inline bool tls_control_is_failure(uint8_t event)
{
    return event == TLS_CONTROL_FATAL || event == TLS_CONTROL_UNEXPECTED ||
           event == TLS_CONTROL_FLOOD;
}

/* Data has come. Returns false, with the alert to be sent, if it must not: the parts of a message
 * follow each other. */
static inline bool tls_control_take_data(struct tls_control_reader *r)
{
    bool allowed = r->have == 0 && r->skip == 0;
    r->quiet = 0;
    if (!allowed) {
        r->event = TLS_CONTROL_UNEXPECTED;
        r->alert = TLS_ALERT_UNEXPECTED_MESSAGE;
    }
    return allowed;
}

#endif
