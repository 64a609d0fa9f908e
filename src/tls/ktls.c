#include "tls/ktls.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

enum record_type {
    RECORD_ALERT = 21,
    RECORD_HANDSHAKE = 22,
};

enum handshake_type {
    HELLO_REQUEST = 0,
    CLIENT_HELLO = 1,
    NEW_SESSION_TICKET = 4,
    KEY_UPDATE = 24,
};

/* Control records in a row, after which the peer is thought to do harm. */
#define IGNORED_MAX 32

/* ---- keys ---- */

/* Where the parts are in what the kernel takes as the keys of a cipher (linux/tls.h). The kernel
 * calls the part of the nonce that does not change "salt". */
struct layout {
    uint16_t type;
    uint16_t size;
    uint8_t salt, salt_size;
    uint8_t iv, iv_size;
    uint8_t key, key_size;
    uint8_t sequence;
};

#define LAYOUT(name, info)                                                          \
    {                                                                               \
        .type = TLS_CIPHER_##name, .size = sizeof(struct tls12_crypto_info_##info), \
        .salt = offsetof(struct tls12_crypto_info_##info, salt),                    \
        .salt_size = TLS_CIPHER_##name##_SALT_SIZE,                                 \
        .iv = offsetof(struct tls12_crypto_info_##info, iv),                        \
        .iv_size = TLS_CIPHER_##name##_IV_SIZE,                                     \
        .key = offsetof(struct tls12_crypto_info_##info, key),                      \
        .key_size = TLS_CIPHER_##name##_KEY_SIZE,                                   \
        .sequence = offsetof(struct tls12_crypto_info_##info, rec_seq),             \
    }

static const struct layout layouts[TLS_CIPHERS] = {
    [TLS_AES_128_GCM] = LAYOUT(AES_GCM_128, aes_gcm_128),
    [TLS_AES_256_GCM] = LAYOUT(AES_GCM_256, aes_gcm_256),
    [TLS_AES_128_CCM] = LAYOUT(AES_CCM_128, aes_ccm_128),
    [TLS_CHACHA20_POLY1305] = LAYOUT(CHACHA20_POLY1305, chacha20_poly1305),
};

/* The longest of the structures above. */
union crypto_info {
    struct tls_crypto_info head;
    struct tls12_crypto_info_aes_gcm_256 aes_gcm_256;
    unsigned char bytes[sizeof(struct tls12_crypto_info_aes_gcm_256)];
};

int ktls_attach(int fd)
{
    static const char name[] = "tls";
    if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, name, sizeof name - 1) == -1 && errno != EEXIST)
        return -errno;
    return 0;
}

static void put_sequence(unsigned char out[8], uint64_t n)
{
    for (int i = 0; i < 8; i++)
        out[i] = (unsigned char)(n >> (56 - 8 * i));
}

static uint64_t read_sequence(const unsigned char in[8])
{
    uint64_t n = 0;
    for (int i = 0; i < 8; i++)
        n = n << 8 | in[i];
    return n;
}

static int option_of(enum tls_direction direction)
{
    return direction == TLS_SEND ? TLS_TX : TLS_RX;
}

int ktls_set_keys(int fd, enum tls_direction direction, const struct tls_keys *keys)
{
    const struct layout *l = &layouts[keys->cipher];
    union crypto_info info;
    memset(&info, 0, sizeof info);
    info.head.version = keys->version;
    info.head.cipher_type = l->type;
    memcpy(info.bytes + l->salt, keys->iv, l->salt_size);
    memcpy(info.bytes + l->iv, keys->iv + l->salt_size, l->iv_size);
    memcpy(info.bytes + l->key, keys->key, l->key_size);
    put_sequence(info.bytes + l->sequence, keys->sequence);
    int rc = setsockopt(fd, SOL_TLS, option_of(direction), &info, l->size) == -1 ? -errno : 0;
    explicit_bzero(&info, sizeof info);
    return rc;
}

int ktls_get_sequence(int fd, enum tls_direction direction, enum tls_cipher cipher,
                      uint64_t *sequence)
{
    const struct layout *l = &layouts[cipher];
    union crypto_info info;
    socklen_t size = l->size;
    int rc = getsockopt(fd, SOL_TLS, option_of(direction), &info, &size) == -1 ? -errno : 0;
    if (rc == 0)
        *sequence = read_sequence(info.bytes + l->sequence);
    explicit_bzero(&info, sizeof info);
    return rc;
}

/* ---- sent ---- */

static int send_record(int fd, enum record_type type, unsigned char *bytes, size_t length)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(1)];
    } control = {
        .head = { .cmsg_level = SOL_TLS, .cmsg_type = TLS_SET_RECORD_TYPE, .cmsg_len = CMSG_LEN(1) }
    };
    struct iovec part = { bytes, length };
    struct msghdr message = { .msg_iov = &part,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof control.space };
    *CMSG_DATA(&control.head) = (unsigned char)type;
    ssize_t n;
    do {
        n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n == -1 && errno == EINTR);
    if (n == -1)
        return -errno;
    return (size_t)n == length ? 0 : -EIO;
}

int ktls_send_alert(int fd, bool fatal, enum tls_alert alert)
{
    unsigned char bytes[] = { fatal ? 2 : 1, (unsigned char)alert };
    return send_record(fd, RECORD_ALERT, bytes, sizeof bytes);
}

int ktls_send_key_update(int fd)
{
    unsigned char bytes[] = { KEY_UPDATE, 0, 0, 1, 0 };
    return send_record(fd, RECORD_HANDSHAKE, bytes, sizeof bytes);
}

/* Clearing TCP_CORK pushes, whether it was set or not, and leaves TCP_NODELAY as it is. */
void ktls_push(int fd)
{
    int off = 0;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
}

/* tcpi_bytes_acked (Linux 4.1) and SIOCOUTQ, tcp(7): what the peer has acknowledged, and what it
 * has not. Both are read again if an acknowledgement came in between. */
int ktls_written(int fd, uint64_t *written)
{
    struct tcp_info info;
    uint64_t acked = 0;
    int queued = 0;
    for (int attempt = 0; attempt < 8; attempt++) {
        socklen_t size = sizeof info;
        memset(&info, 0, sizeof info);
        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == -1)
            return -errno;
        if (attempt > 0 && info.tcpi_bytes_acked == acked)
            break;
        acked = info.tcpi_bytes_acked;
        if (ioctl(fd, SIOCOUTQ, &queued) == -1)
            return -errno;
    }
    *written = acked + (uint64_t)queued;
    return 0;
}

int ktls_is_flushed(int fd, uint64_t written)
{
    uint64_t now = 0;
    int rc = ktls_written(fd, &now);
    return rc < 0 ? rc : now >= written;
}

/* ---- received ---- */

static enum ktls_event judge_alert(const unsigned char *bytes, size_t length, uint16_t version)
{
    if (length != 2)
        return KTLS_UNEXPECTED;
    if (bytes[1] == TLS_ALERT_CLOSE_NOTIFY)
        return KTLS_CLOSE_NOTIFY;
    bool warning = bytes[1] == TLS_ALERT_USER_CANCELED || (version == TLS_1_2 && bytes[0] == 1);
    return warning ? KTLS_IGNORED : KTLS_FATAL;
}

/* A message of the handshake protocol, of which `here` bytes are in this record. */
static enum ktls_event judge_message(const unsigned char *message, size_t length, size_t here,
                                     uint16_t version, bool server)
{
    switch (message[0]) {
    case HELLO_REQUEST:
        return version == TLS_1_2 && !server ? KTLS_RENEGOTIATE : KTLS_UNEXPECTED;
    case CLIENT_HELLO:
        return version == TLS_1_2 && server ? KTLS_RENEGOTIATE : KTLS_UNEXPECTED;
    case NEW_SESSION_TICKET:
        return version == TLS_1_3 && !server ? KTLS_IGNORED : KTLS_UNEXPECTED;
    case KEY_UPDATE:
        if (version != TLS_1_3 || length != 5 || here != 5 || message[4] > 1)
            return KTLS_UNEXPECTED;
        return message[4] == 1 ? KTLS_KEY_REQUEST : KTLS_KEY_UPDATE;
    }
    return KTLS_UNEXPECTED;
}

/* A record may have several messages, and a message may take several records. Nothing may follow a
 * KeyUpdate in its record (RFC 8446, 5.1). */
static enum ktls_event judge_handshake(struct ktls_reader *reader, const unsigned char *bytes,
                                       size_t length, uint16_t version, bool server)
{
    enum ktls_event event = KTLS_IGNORED;
    size_t at = reader->skip < length ? reader->skip : length;
    reader->skip -= (uint32_t)at;
    while (at < length) {
        if (length - at < 4 || event == KTLS_KEY_UPDATE || event == KTLS_KEY_REQUEST)
            return KTLS_UNEXPECTED;
        const unsigned char *message = bytes + at;
        size_t whole = 4 + ((size_t)message[1] << 16 | (size_t)message[2] << 8 | message[3]);
        size_t here = whole < length - at ? whole : length - at;
        enum ktls_event next = judge_message(message, whole, length - at, version, server);
        if (next == KTLS_UNEXPECTED)
            return next;
        event = next != KTLS_IGNORED ? next : event;
        reader->skip = (uint32_t)(whole - here);
        at += here;
    }
    return length == 0 ? KTLS_UNEXPECTED : event;
}

enum ktls_event ktls_judge(struct ktls_reader *reader, uint8_t type, const unsigned char *bytes,
                           size_t length, uint16_t version, bool server)
{
    if (reader->ignored >= IGNORED_MAX)
        return KTLS_UNEXPECTED;
    reader->ignored++;
    if (type == RECORD_HANDSHAKE)
        return judge_handshake(reader, bytes, length, version, server);
    if (type == RECORD_ALERT && reader->skip == 0)
        return judge_alert(bytes, length, version);
    return KTLS_UNEXPECTED;
}

int ktls_read_control(int fd, struct ktls_reader *reader, uint16_t version, bool server)
{
    unsigned char bytes[16 * 1024 + 1];
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(1)];
    } control;
    struct iovec part = { bytes, sizeof bytes };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT);
    if (n == -1)
        return -errno;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    if (c == NULL || c->cmsg_level != SOL_TLS || c->cmsg_type != TLS_GET_RECORD_TYPE)
        return -EIO;
    return (int)ktls_judge(reader, *CMSG_DATA(c), bytes, (size_t)n, version, server);
}
