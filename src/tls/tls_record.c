#include "tls/tls_record.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tls/tls_keys.h"

#define AAD_MAX 13

/* Records after which new keys are sent: less than TLS_GCM_RECORDS_MAX. */
#define RECORDS_DUE (UINT64_C(1) << 24)

/* One direction. */
struct cipher_state {
    EVP_CIPHER_CTX *ctx;
    bool is_usable;    /* false after an error: no nonce may be used again */
    uint64_t sequence; /* of the next record; must not wrap */
    unsigned char iv[TLS_IV_SIZE];
    struct tls_secret secret; /* TLS 1.3 */
};

struct tls_records {
    struct cipher_state state[TLS_DIRECTIONS];
    uint16_t version;
    uint8_t cipher; /* enum tls_cipher */
};

/* Fetched once: fetching takes longer than encrypting a short record. */
static EVP_CIPHER *fetched[TLS_CIPHERS];
static pthread_once_t fetched_once = PTHREAD_ONCE_INIT;

static void fetch_ciphers(void)
{
    fetched[TLS_AES_128_GCM] = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    fetched[TLS_AES_256_GCM] = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    fetched[TLS_CHACHA20_POLY1305] = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    ERR_clear_error();
}

/* ---- begin and end ---- */

static int set_keys(const struct tls_records *r, enum tls_direction direction,
                    struct cipher_state *state, const struct tls_keys *keys)
{
    int ok = EVP_CipherInit_ex(state->ctx, fetched[r->cipher], NULL, keys->key, NULL,
                               direction == TLS_SEND);
    ERR_clear_error();
    state->is_usable = ok == 1;
    if (!state->is_usable)
        return -EKEYREJECTED;
    state->sequence = keys->sequence;
    state->secret = keys->secret;
    memcpy(state->iv, keys->iv, sizeof state->iv);
    return 0;
}

struct tls_records *tls_records_new(const struct tls_keys keys[TLS_DIRECTIONS])
{
    pthread_once(&fetched_once, fetch_ciphers);
    if (fetched[keys[TLS_SEND].cipher] == NULL)
        return NULL;
    struct tls_records *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->version = keys[TLS_SEND].version;
    r->cipher = keys[TLS_SEND].cipher;
    for (int i = 0; i < TLS_DIRECTIONS; i++) {
        r->state[i].ctx = EVP_CIPHER_CTX_new();
        if (r->state[i].ctx == NULL ||
            set_keys(r, (enum tls_direction)i, &r->state[i], &keys[i]) < 0) {
            tls_records_free(r);
            return NULL;
        }
    }
    return r;
}

void tls_records_free(struct tls_records *r)
{
    if (r == NULL)
        return;
    for (int i = 0; i < TLS_DIRECTIONS; i++)
        EVP_CIPHER_CTX_free(r->state[i].ctx);
    explicit_bzero(r, sizeof *r);
    free(r);
}

int tls_records_update(struct tls_records *r, enum tls_direction direction)
{
    struct cipher_state *state = &r->state[direction];
    struct tls_keys keys = { .version = r->version, .cipher = r->cipher, .secret = state->secret };
    int rc = tls_keys_update(&keys);
    if (rc == 0)
        rc = set_keys(r, direction, state, &keys);
    tls_cipher_clear(&keys);
    return rc;
}

uint16_t tls_records_version(const struct tls_records *r)
{
    return r->version;
}

bool tls_records_update_is_due(const struct tls_records *r)
{
    return r->version == TLS_1_3 && r->state[TLS_SEND].sequence >= RECORDS_DUE;
}

/* TLS 1.2 has no KeyUpdate. */
bool tls_records_are_used_up(const struct tls_records *r)
{
    return r->version != TLS_1_3 && r->cipher != TLS_CHACHA20_POLY1305 &&
           r->state[TLS_SEND].sequence >= TLS_GCM_RECORDS_MAX;
}

/* ---- parts of a record ---- */

static size_t explicit_size(const struct tls_records *r)
{
    return tls_cipher_explicit_nonce(r->version, r->cipher);
}

static size_t overhead(const struct tls_records *r)
{
    return tls_cipher_overhead(r->version, r->cipher);
}

static void put_number(unsigned char *to, uint64_t number, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (unsigned char)(number >> 8 * (size - 1 - i));
}

static void put_header(unsigned char *to, uint8_t type, size_t length)
{
    to[0] = type;
    put_number(to + 1, TLS_1_2, 2);
    put_number(to + 3, length, 2);
}

/* explicit: the part of the nonce that is in the record, if it has one. */
static void make_nonce(const struct tls_records *r, const struct cipher_state *state,
                       const unsigned char *explicit_part, unsigned char nonce[TLS_IV_SIZE])
{
    memcpy(nonce, state->iv, TLS_IV_SIZE);
    size_t explicit_bytes = explicit_size(r);
    if (explicit_bytes > 0) {
        memcpy(nonce + TLS_SALT_SIZE, explicit_part, explicit_bytes);
        return;
    }
    unsigned char sequence[8];
    put_number(sequence, state->sequence, sizeof sequence);
    for (size_t i = 0; i < sizeof sequence; i++)
        nonce[TLS_IV_SIZE - sizeof sequence + i] ^= sequence[i];
}

/* What is authenticated beside the data: the header; in TLS 1.2 behind the number of the record,
 * and with the length of the data. Returns its size. */
static int make_aad(const struct tls_records *r, const struct cipher_state *state, uint8_t type,
                    size_t length, unsigned char aad[AAD_MAX])
{
    if (r->version == TLS_1_3) {
        put_header(aad, type, length);
        return TLS_RECORD_HEADER;
    }
    put_number(aad, state->sequence, 8);
    put_header(aad + 8, type, length);
    return AAD_MAX;
}

/* ---- sent ---- */

static bool encrypt(EVP_CIPHER_CTX *ctx, const void *data, size_t size, const uint8_t *inner_type,
                    unsigned char *out)
{
    int n = 0, all = 0;
    bool ok = EVP_EncryptUpdate(ctx, out, &n, data, (int)size) == 1;
    all = n;
    if (ok && inner_type != NULL) {
        ok = EVP_EncryptUpdate(ctx, out + all, &n, inner_type, 1) == 1;
        all += n;
    }
    ok = ok && EVP_EncryptFinal_ex(ctx, out + all, &n) == 1;
    all += n;
    return ok && (size_t)all == size + (inner_type != NULL) &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TLS_TAG_SIZE, out + all) == 1;
}

ssize_t tls_records_seal(struct tls_records *r, enum tls_record_type type, const void *data,
                         size_t size, unsigned char *out)
{
    struct cipher_state *state = &r->state[TLS_SEND];
    unsigned char nonce[TLS_IV_SIZE], aad[AAD_MAX];
    bool is_13 = r->version == TLS_1_3;
    uint8_t inner = (uint8_t)type;
    uint8_t outer = is_13 ? TLS_RECORD_APPLICATION_DATA : (uint8_t)type;
    size_t explicit_bytes = explicit_size(r);
    size_t length = size + overhead(r) - TLS_RECORD_HEADER;
    int n = 0;
    if (!state->is_usable || state->sequence == UINT64_MAX)
        return -EIO;
    put_header(out, outer, length);
    put_number(out + TLS_RECORD_HEADER, state->sequence, explicit_bytes);
    make_nonce(r, state, out + TLS_RECORD_HEADER, nonce);
    int aad_size = make_aad(r, state, outer, is_13 ? length : size, aad);
    bool ok = EVP_EncryptInit_ex(state->ctx, NULL, NULL, NULL, nonce) == 1 &&
              EVP_EncryptUpdate(state->ctx, NULL, &n, aad, aad_size) == 1 &&
              encrypt(state->ctx, data, size, is_13 ? &inner : NULL,
                      out + TLS_RECORD_HEADER + explicit_bytes);
    state->sequence++;
    state->is_usable = ok;
    if (!ok)
        ERR_clear_error();
    return ok ? (ssize_t)(TLS_RECORD_HEADER + length) : -EIO;
}

/* ---- received ---- */

ssize_t tls_records_size(const struct tls_records *r, const unsigned char header[TLS_RECORD_HEADER])
{
    size_t length = (size_t)header[3] << 8 | header[4];
    size_t most = TLS_RECORD_DATA + (r->version == TLS_1_3 ? 256 : 2048);
    if (header[0] < TLS_RECORD_CHANGE_CIPHER_SPEC || header[0] > TLS_RECORD_APPLICATION_DATA)
        return -EPROTO;
    if (header[1] != 3 || header[2] != 3)
        return -EPROTONOSUPPORT;
    return length > most ? -EMSGSIZE : (ssize_t)(TLS_RECORD_HEADER + length);
}

size_t tls_records_plaintext(const struct tls_records *r, size_t size)
{
    return size > overhead(r) ? size - overhead(r) : 0;
}

/* Decrypts size bytes to data, and in TLS 1.3 the byte behind them, which is the type unless there
 * is padding. */
static bool decrypt(EVP_CIPHER_CTX *ctx, const unsigned char *from, size_t size, uint8_t *last,
                    unsigned char *data)
{
    int n = 0;
    unsigned char rest[TLS_TAG_SIZE];
    const unsigned char *tag = from + size + (last != NULL);
    return EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TLS_TAG_SIZE, (void *)tag) == 1 &&
           EVP_DecryptUpdate(ctx, data, &n, from, (int)size) == 1 &&
           (last == NULL || EVP_DecryptUpdate(ctx, last, &n, from + size, 1) == 1) &&
           EVP_DecryptFinal_ex(ctx, rest, &n) == 1;
}

/* The type is the last byte that is not 0. */
static ssize_t strip_padding(const unsigned char *data, size_t size, uint8_t *type)
{
    while (*type == 0 && size > 0)
        *type = data[--size];
    return *type == 0 ? -EPROTO : (ssize_t)size;
}

ssize_t tls_records_open(struct tls_records *r, const unsigned char *record, size_t size,
                         uint8_t *type, unsigned char *data)
{
    struct cipher_state *state = &r->state[TLS_RECEIVE];
    unsigned char nonce[TLS_IV_SIZE], aad[AAD_MAX];
    bool is_13 = r->version == TLS_1_3;
    const unsigned char *from = record + TLS_RECORD_HEADER;
    int n = 0;
    if (is_13 && record[0] != TLS_RECORD_APPLICATION_DATA)
        return -EPROTO;
    if (size < overhead(r))
        return -EBADMSG;
    size_t length = size - overhead(r);
    *type = record[0];
    make_nonce(r, state, from, nonce);
    int aad_size = make_aad(r, state, record[0], is_13 ? size - TLS_RECORD_HEADER : length, aad);
    bool ok = EVP_DecryptInit_ex(state->ctx, NULL, NULL, NULL, nonce) == 1 &&
              EVP_DecryptUpdate(state->ctx, NULL, &n, aad, aad_size) == 1 &&
              decrypt(state->ctx, from + explicit_size(r), length, is_13 ? type : NULL, data);
    if (!ok) {
        ERR_clear_error();
        return -EBADMSG;
    }
    state->sequence++;
    ssize_t rc = is_13 ? strip_padding(data, length, type) : (ssize_t)length;
    return rc > TLS_RECORD_DATA ? -EMSGSIZE : rc;
}
