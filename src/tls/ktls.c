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
    unsigned char bytes[TLS_KEY_UPDATE_SIZE] = { TLS_KEY_UPDATE, 0, 0, 1, 0 };
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

int ktls_read_control(int fd, struct tls_control_reader *reader, uint16_t version, bool server)
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
    return (int)tls_control_judge(reader, *CMSG_DATA(c), bytes, (size_t)n, version, server);
}
