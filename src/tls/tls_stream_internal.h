/* For the files of a stream: tls_stream.c, with OpenSSL's records; tls_stream_records.c, with those
 * of tls_record.h. */
#ifndef ZPROXY_TLS_TLS_STREAM_INTERNAL_H
#define ZPROXY_TLS_TLS_STREAM_INTERNAL_H

#include <stdint.h>

#include "base/buffer.h"
#include "tls/tls_control.h"
#include "tls/tls_record.h"
#include "tls/tls_stream.h"

/* Bytes of records that one tls_stream_write() sends by one send(2), and that are read at once. */
#define OUT_MAX (72 * 1024)

struct tls_session_entry;

struct tls_stream {
    struct ssl_st *ssl;
    struct tls_records *records; /* not NULL: instead of ssl */
    int fd;
    int error; /* errno of the socket; 0: none */
    bool is_server;
    bool has_ended;
    bool close_sent;
    bool collects; /* in tls_stream_write() and tls_stream_handshake() */
    bool reads_ahead;
    bool is_final;   /* reading has ended: with `final` */
    bool received;   /* bytes, since tls_stream_has_received_bytes() */
    bool drained;    /* the last read was shorter than it could have been, or found nothing */
    uint8_t control; /* with ssl: messages other than data, since the last data */
    int final;
    struct buffer rest;  /* what the socket has not taken */
    struct buffer input; /* what was read ahead; of a record that is not complete, with records */
    struct buffer plain; /* with records: what was decrypted, and the caller had no room for */
    struct tls_control_reader reader;
    uint32_t update_debt; /* see UPDATE_COST */
    char *why;
    char *server_name;               /* NULL: none */
    struct tls_session_entry *entry; /* of sessions with the server; NULL: none are resumed */
};

/* Frees OpenSSL's object; the session of a complete handshake may be resumed. */
void tls_stream_free_ssl(struct tls_stream *s);

/* Sends, or keeps what the socket does not take. Sets s->error. */
void tls_stream_send(struct tls_stream *s, const unsigned char *data, size_t size);

/* Records are put together in a buffer of the thread: returns room for size bytes, at most OUT_MAX;
 * says that it was used; sends what was collected. */
unsigned char *tls_stream_collect(struct tls_stream *s, size_t size);
void tls_stream_collected(size_t size);
void tls_stream_send_collected(struct tls_stream *s);

/* ---- with tls_record.h ---- */

/* Takes the keys from OpenSSL, and frees its object. Returns 0, or -errno: nothing has changed. */
int tls_stream_records_take(struct tls_stream *s);
void tls_stream_records_fini(struct tls_stream *s);

/* As tls_stream_read() and the others. */
ssize_t tls_stream_records_read(struct tls_stream *s, void *data, size_t size);
int tls_stream_records_write(struct tls_stream *s, const void *data, size_t size);
int tls_stream_records_close(struct tls_stream *s);
void tls_stream_records_look_for_end(struct tls_stream *s);
bool tls_stream_records_pending(const struct tls_stream *s);
void tls_stream_records_trim(struct tls_stream *s);

#endif
