#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "tls/tls_keys.h"
#include "tls/tls_stream_internal.h"

const char fuzz_name[] = "tls_records";

/* An input is what a client does after the handshake, which has the keys: so what is in a record is
 * parsed, and not only refused. The first byte is the kind of connection; then steps (enum step),
 * each a byte and what step_*() takes. The client's records wait in `wire`, and are delivered in
 * pieces. */
#define STEPS_MAX 200
#define SENT_MAX  (256 * 1024)
#define WIRE_MAX  (2 * SENT_MAX)
#define SMALL_MAX 64 /* bytes of a record that the input has */

/* Records without data that are allowed in a row; after more, anything may follow. */
#define QUIET_MAX 32

#define CLOSE_NOTIFY 0
#define KEY_UPDATE   24
#define FATAL        2

enum step {
    STEP_DATA,       /* a record with data, its size in two bytes */
    STEP_RECORD,     /* any type and content, with padding */
    STEP_RAW,        /* bytes that are no record */
    STEP_KEY_UPDATE, /* with new keys behind it */
    STEP_NEW_KEYS,   /* without KeyUpdate */
    STEP_CLOSE,      /* close_notify */
    STEP_FIN,
    STEP_DELIVER, /* as many bytes, in two bytes */
    STEP_READ,    /* with as much room */
    STEP_WRITE,   /* as much data to the client */
    STEP_LOOK,    /* whether the client has ended */
    STEP_SHUT,    /* close_notify of this end */
    STEPS,
};

struct input {
    const uint8_t *at;
    const uint8_t *end;
};

struct rig {
    struct tls_records *client;
    struct tls_stream *stream;
    int fd[2];
    bool is_13;
    size_t wire, delivered; /* bytes in wire_bytes */
    size_t sent, got;       /* of data: in sent_bytes; as read */
    size_t certain;         /* of sent: must be read, since everything before was right */
    bool uncertain;         /* something was not */
    bool closed, ended;     /* by the client: close_notify, FIN */
    unsigned quiet;
    size_t written, answered; /* data to the client: by STEP_WRITE, as read there */
    bool shut, refused;       /* the client has read close_notify, a fatal alert */
    size_t back;              /* bytes in back_bytes: what the client has read of a record */
};

static unsigned char wire_bytes[WIRE_MAX], sent_bytes[SENT_MAX], buffer[TLS_RECORD_MAX * 5];
static unsigned char back_bytes[64 * TLS_RECORD_MAX];

static unsigned next(struct input *in)
{
    return in->at == in->end ? 0 : *in->at++;
}

static size_t next_size(struct input *in)
{
    size_t high = next(in);
    return high << 8 | next(in);
}

/* ---- begin and end ---- */

static void derive(struct tls_keys *keys, unsigned kind, unsigned char secret)
{
    static const uint8_t ciphers[] = { TLS_AES_128_GCM, TLS_AES_256_GCM, TLS_CHACHA20_POLY1305 };
    *keys = (struct tls_keys){ .version = kind & 1 ? TLS_1_2 : TLS_1_3,
                               .cipher = ciphers[kind / 2 % 3],
                               .secret = { .length = 32 } };
    memset(keys->secret.bytes, secret, 32);
    FUZZ_REQUIRE(tls_keys_derive(keys) == 0);
    keys->sequence = kind & 128 ? (1 << 24) - 2 : 0; /* new keys are due soon */
    if (keys->version == TLS_1_2)
        keys->secret.length = 0;
}

static void rig_open(struct rig *r, unsigned kind)
{
    struct tls_keys server[TLS_DIRECTIONS], client[TLS_DIRECTIONS];
    memset(r, 0, sizeof *r);
    derive(&server[TLS_SEND], kind, 1);
    derive(&server[TLS_RECEIVE], kind, 2);
    client[TLS_SEND] = server[TLS_RECEIVE];
    client[TLS_RECEIVE] = server[TLS_SEND];
    r->is_13 = server[TLS_SEND].version == TLS_1_3;
    r->client = tls_records_new(client);
    r->stream = calloc(1, sizeof *r->stream);
    FUZZ_REQUIRE(r->client != NULL && r->stream != NULL);
    r->stream->records = tls_records_new(server);
    FUZZ_REQUIRE(r->stream->records != NULL);
    FUZZ_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, r->fd) == 0);
    r->stream->fd = r->fd[1];
}

static void rig_close(struct rig *r)
{
    tls_stream_free(r->stream);
    tls_records_free(r->client);
    close(r->fd[0]);
    close(r->fd[1]);
}

/* ---- the client ---- */

static void put_record(struct rig *r, uint8_t type, const void *bytes, size_t size)
{
    ssize_t n = tls_records_seal(r->client, type, bytes, size, wire_bytes + r->wire);
    FUZZ_REQUIRE(n > 0);
    r->wire += (size_t)n;
}

/* Whether the client may send so many bytes more. */
static bool has_room(const struct rig *r, size_t size)
{
    return !r->ended && r->wire + size + 4 * TLS_RECORD_OVERHEAD + SMALL_MAX < WIRE_MAX &&
           r->sent + size <= SENT_MAX;
}

/* What the server must refuse, or may. */
static void doubt(struct rig *r)
{
    r->uncertain |= !r->closed;
}

/* Data that the server will read, unless it has refused something. */
static void note_data(struct rig *r, const unsigned char *bytes, size_t size)
{
    memcpy(sent_bytes + r->sent, bytes, size);
    r->sent += size;
    r->quiet = 0;
    if (!r->uncertain && !r->closed)
        r->certain = r->sent;
}

static void note_quiet(struct rig *r)
{
    if (++r->quiet > QUIET_MAX)
        doubt(r);
}

static void step_data(struct rig *r, struct input *in)
{
    static unsigned char bytes[TLS_RECORD_DATA + 1];
    static unsigned char salt;
    size_t size = next_size(in) % (TLS_RECORD_DATA + 2);
    if (!has_room(r, size))
        return;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 251 + salt);
    salt++;
    put_record(r, TLS_RECORD_APPLICATION_DATA, bytes, size);
    if (size > TLS_RECORD_DATA)
        doubt(r);
    else if (size > 0)
        note_data(r, bytes, size);
    else
        note_quiet(r);
}

/* In TLS 1.3 the type is behind the content, and zeros may be behind it. Sets *size to the bytes of
 * the content. */
static unsigned inner_type(const unsigned char *bytes, size_t *size)
{
    while (*size > 0 && bytes[*size - 1] == 0)
        (*size)--;
    return *size == 0 ? 0 : bytes[--*size];
}

static void step_record(struct rig *r, struct input *in)
{
    unsigned char bytes[SMALL_MAX + 256] = { 0 };
    unsigned type = next(in);
    size_t padding = next(in);
    size_t size = next(in) % SMALL_MAX;
    if (!has_room(r, sizeof bytes))
        return;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)next(in);
    if (r->is_13) {
        bytes[size++] = (unsigned char)type;
        size += padding;
        put_record(r, 0, bytes, size);
        type = inner_type(bytes, &size);
    } else {
        put_record(r, (uint8_t)type, bytes, size);
    }
    if (type == TLS_RECORD_APPLICATION_DATA && size > 0)
        note_data(r, bytes, size);
    else
        doubt(r);
}

static void step_raw(struct rig *r, struct input *in)
{
    size_t size = next(in) % SMALL_MAX;
    if (!has_room(r, size))
        return;
    for (size_t i = 0; i < size; i++)
        wire_bytes[r->wire++] = (unsigned char)next(in);
    if (size > 0)
        doubt(r);
}

static void step_key_update(struct rig *r, struct input *in)
{
    const unsigned char bytes[] = { KEY_UPDATE, 0, 0, 1, next(in) % 2 };
    if (!r->is_13 || !has_room(r, sizeof bytes))
        return;
    put_record(r, TLS_RECORD_HANDSHAKE, bytes, sizeof bytes);
    FUZZ_REQUIRE(tls_records_update(r->client, TLS_SEND) == 0);
    note_quiet(r);
}

static void step_new_keys(struct rig *r)
{
    if (!r->is_13)
        return;
    FUZZ_REQUIRE(tls_records_update(r->client, TLS_SEND) == 0);
    doubt(r);
}

static void step_close(struct rig *r)
{
    const unsigned char bytes[] = { 1, CLOSE_NOTIFY };
    if (!has_room(r, sizeof bytes))
        return;
    put_record(r, TLS_RECORD_ALERT, bytes, sizeof bytes);
    r->closed = true;
}

/* What does not fit into the socket stays. */
static void deliver(struct rig *r, size_t size)
{
    size_t left = r->wire - r->delivered;
    size = size < left ? size : left;
    if (size == 0 || r->ended)
        return;
    ssize_t n = send(r->fd[0], wire_bytes + r->delivered, size, MSG_NOSIGNAL);
    if (n > 0)
        r->delivered += (size_t)n;
}

/* ---- what the client reads ---- */

static void take_answer(struct rig *r, uint8_t type, const unsigned char *bytes, size_t size)
{
    FUZZ_REQUIRE(!r->shut && !r->refused);
    switch (type) {
    case TLS_RECORD_APPLICATION_DATA:
        for (size_t i = 0; i < size; i++)
            FUZZ_REQUIRE(bytes[i] == (unsigned char)(r->answered + i));
        r->answered += size;
        return;
    case TLS_RECORD_ALERT:
        FUZZ_REQUIRE(size == 2 && (bytes[0] == 1 || bytes[0] == FATAL));
        r->shut |= bytes[1] == CLOSE_NOTIFY;
        r->refused |= bytes[0] == FATAL;
        return;
    case TLS_RECORD_HANDSHAKE:
        FUZZ_REQUIRE(r->is_13 && size == 5 && bytes[0] == KEY_UPDATE && bytes[4] == 0);
        FUZZ_REQUIRE(tls_records_update(r->client, TLS_RECEIVE) == 0);
        return;
    }
    FUZZ_REQUIRE(!"a type that the server never sends");
}

/* Everything that the server has sent is a record that the client can read. */
static void read_answers(struct rig *r)
{
    unsigned char bytes[TLS_RECORD_MAX];
    uint8_t type = 0;
    ssize_t n;
    size_t at = 0;
    do {
        (void)tls_stream_flush(r->stream);
        n = recv(r->fd[0], back_bytes + r->back, sizeof back_bytes - r->back, 0);
        r->back += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    while (r->back - at >= TLS_RECORD_HEADER) {
        ssize_t size = tls_records_size(r->client, back_bytes + at);
        FUZZ_REQUIRE(size > 0);
        if (r->back - at < (size_t)size)
            break;
        ssize_t got = tls_records_open(r->client, back_bytes + at, (size_t)size, &type, bytes);
        FUZZ_REQUIRE(got >= 0);
        take_answer(r, type, bytes, (size_t)got);
        at += (size_t)size;
    }
    memmove(back_bytes, back_bytes + at, r->back - at);
    r->back -= at;
}

/* ---- the server ---- */

static int queued(const struct rig *r)
{
    int n = 0;
    FUZZ_REQUIRE(ioctl(r->fd[1], FIONREAD, &n) == 0);
    return n;
}

/* The same as before, and no byte lost or made up; a socket that is called empty is empty. */
static ssize_t read_some(struct rig *r, size_t room)
{
    bool was_final = r->stream->is_final;
    int final = r->stream->final;
    unsigned char *exact = malloc(room); /* so that writing beyond the end is seen */
    FUZZ_REQUIRE(exact != NULL);
    ssize_t n = tls_stream_read(r->stream, exact, room);
    FUZZ_REQUIRE(!was_final || n == final);
    if (n > 0) {
        FUZZ_REQUIRE((size_t)n <= room && r->got + (size_t)n <= r->sent);
        FUZZ_REQUIRE(memcmp(exact, sent_bytes + r->got, (size_t)n) == 0);
        r->got += (size_t)n;
    }
    free(exact);
    FUZZ_REQUIRE(n != -EAGAIN || queued(r) == 0);
    FUZZ_REQUIRE(!tls_stream_is_drained(r->stream) || queued(r) == 0);
    FUZZ_REQUIRE(n != -EPROTO || tls_stream_why(r->stream)[0] != '\0');
    return n;
}

/* Then the session ends, and nothing more is written. */
static bool has_failed(const struct rig *r)
{
    return r->stream->error != 0 || (r->stream->is_final && r->stream->final < 0);
}

static void write_some(struct rig *r, size_t size)
{
    if (has_failed(r) || tls_stream_has_rest(r->stream) || r->stream->close_sent)
        return;
    for (size_t i = 0; i < size; i++)
        buffer[i] = (unsigned char)(r->written + i);
    if (tls_stream_write(r->stream, buffer, size) == 0)
        r->written += size;
}

static void look(struct rig *r)
{
    bool ended = tls_stream_has_ended(r->stream);
    FUZZ_REQUIRE(!ended || r->stream->is_final);
    FUZZ_REQUIRE(!ended || buffer_size(&r->stream->plain) == 0);
}

/* ---- steps ---- */

static void take_step(struct rig *r, struct input *in)
{
    switch ((enum step)(next(in) % STEPS)) {
    case STEP_DATA:
        step_data(r, in);
        break;
    case STEP_RECORD:
        step_record(r, in);
        break;
    case STEP_RAW:
        step_raw(r, in);
        break;
    case STEP_KEY_UPDATE:
        step_key_update(r, in);
        break;
    case STEP_NEW_KEYS:
        step_new_keys(r);
        break;
    case STEP_CLOSE:
        step_close(r);
        break;
    case STEP_FIN:
        deliver(r, SIZE_MAX);
        r->ended = r->ended || (r->delivered == r->wire && shutdown(r->fd[0], SHUT_WR) == 0);
        break;
    case STEP_DELIVER:
        deliver(r, next_size(in));
        break;
    case STEP_READ:
        (void)read_some(r, 1 + next_size(in));
        break;
    case STEP_WRITE:
        write_some(r, next_size(in));
        read_answers(r);
        break;
    case STEP_LOOK:
        look(r);
        break;
    case STEP_SHUT:
        if (!has_failed(r))
            (void)tls_stream_close(r->stream);
        break;
    case STEPS:
        break;
    }
}

/* What the whole of it must have led to. */
static void check_end(const struct rig *r, ssize_t last)
{
    FUZZ_REQUIRE(r->got >= r->certain);
    FUZZ_REQUIRE(r->answered == r->written || r->refused || r->stream->error != 0);
    if (r->uncertain)
        return;
    FUZZ_REQUIRE(r->got == r->certain);
    FUZZ_REQUIRE(last == (r->closed ? 0 : r->ended ? -ECONNABORTED : -EAGAIN));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct input in = { bytes, bytes + n };
    struct rig r;
    ssize_t last = 0;
    rig_open(&r, next(&in));
    for (int i = 0; i < STEPS_MAX && in.at < in.end; i++)
        take_step(&r, &in);
    do {
        deliver(&r, SIZE_MAX);
        last = read_some(&r, sizeof buffer);
        read_answers(&r);
    } while (last > 0 || (last == -EAGAIN && r.delivered < r.wire && !r.ended));
    check_end(&r, last);
    rig_close(&r);
    return 0;
}
