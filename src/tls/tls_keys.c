#include "tls/tls_keys.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/obj_mac.h>
#include <openssl/params.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tls/tls_provider.h"

/* What is noted of a connection: ex_data of its SSL. */
struct notes {
    uint64_t records[TLS_DIRECTIONS]; /* under the present keys */
    unsigned updates[TLS_DIRECTIONS];
    struct tls_noted noted; /* before any update */
};

/* Fetched once: fetching takes as long as deriving. */
static struct {
    pthread_once_t once;
    int index; /* of the notes in the ex_data; -1: no memory */
    EVP_KDF *tls13;
    EVP_KDF *tls1_prf;
} library = { .once = PTHREAD_ONCE_INIT, .index = -1 };

/* ---- noted during the handshake ---- */

static void free_notes(void *parent, void *notes, CRYPTO_EX_DATA *data, int index, long argl,
                       void *argp)
{
    (void)parent, (void)data, (void)index, (void)argl, (void)argp;
    OPENSSL_clear_free(notes, sizeof(struct notes));
}

static void prepare_library(void)
{
    const char *properties = tls_provider_properties();
    library.tls13 = EVP_KDF_fetch(NULL, "TLS13-KDF", properties);
    library.tls1_prf = EVP_KDF_fetch(NULL, "TLS1-PRF", properties);
    if (library.tls13 != NULL && library.tls1_prf != NULL)
        library.index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_notes);
}

static struct notes *notes_of(const SSL *ssl)
{
    return SSL_get_ex_data(ssl, library.index);
}

/* Returns NULL when out of memory: then the connection stays in user space. */
static struct notes *notes_make(const SSL *ssl)
{
    struct notes *notes = notes_of(ssl);
    if (notes != NULL)
        return notes;
    notes = OPENSSL_zalloc(sizeof *notes);
    if (notes != NULL && SSL_set_ex_data((SSL *)ssl, library.index, notes) != 1) {
        OPENSSL_free(notes);
        return NULL;
    }
    return notes;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool read_secret(const char *hex, struct tls_secret *secret)
{
    size_t length = strlen(hex) / 2;
    if (length > TLS_SECRET_MAX)
        return false;
    for (size_t i = 0; i < length; i++) {
        int high = hex_value(hex[2 * i]);
        int low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        secret->bytes[i] = (unsigned char)(high << 4 | low);
    }
    secret->length = (uint8_t)length;
    return true;
}

static bool is_label(const char *line, const char *label)
{
    size_t length = strlen(label);
    return strncmp(line, label, length) == 0 && line[length] == ' ';
}

/* A line: label, client random and secret, in hexadecimal, separated by spaces. */
static void on_key_log(const SSL *ssl, const char *line)
{
    bool client = is_label(line, "CLIENT_TRAFFIC_SECRET_0");
    const char *hex = strrchr(line, ' ');
    if ((!client && !is_label(line, "SERVER_TRAFFIC_SECRET_0")) || hex == NULL)
        return;
    struct notes *notes = notes_make(ssl);
    if (notes != NULL)
        read_secret(hex + 1, client ? &notes->noted.client.secret : &notes->noted.server.secret);
}

/* What was derived by this step of the handshake. */
static void keep_noted(struct notes *notes, const struct tls_noted *noted)
{
    if (noted->client.secret.length > 0)
        notes->noted.client = noted->client;
    if (noted->server.secret.length > 0)
        notes->noted.server = noted->server;
    if (noted->key_block_size == 0)
        return;
    notes->noted.key_block_size = noted->key_block_size;
    memcpy(notes->noted.key_block, noted->key_block, sizeof noted->key_block);
}

/* A connection without notes is not of a context made here. */
int tls_keys_handshake(SSL *ssl)
{
    struct tls_noted noted = { 0 };
    tls_provider_note(&noted);
    int rc = SSL_do_handshake(ssl);
    tls_provider_note(NULL);
    struct notes *notes = library.index == -1 ? NULL : notes_of(ssl);
    if (notes != NULL)
        keep_noted(notes, &noted);
    OPENSSL_cleanse(&noted, sizeof noted);
    return rc;
}

/* The record after which the next one has new keys: in TLS 1.3 the one with Finished or KeyUpdate;
 * in TLS 1.2 ChangeCipherSpec, which TLS 1.3 sends too, without a meaning. */
static bool record_changes_keys(const SSL *ssl, const unsigned char *header)
{
    return header[0] == SSL3_RT_CHANGE_CIPHER_SPEC && SSL_version(ssl) != TLS1_3_VERSION;
}

static bool message_changes_keys(const SSL *ssl, const unsigned char *message)
{
    return (message[0] == SSL3_MT_FINISHED || message[0] == SSL3_MT_KEY_UPDATE) &&
           SSL_version(ssl) == TLS1_3_VERSION;
}

/* OpenSSL reports the header of a record before the message in it, both of what it reads and of
 * what it writes. It does not report ChangeCipherSpec as a message when it reads it. */
static void on_message(int written, int version, int type, const void *bytes, size_t length,
                       SSL *ssl, void *arg)
{
    (void)version, (void)arg;
    if ((type != SSL3_RT_HEADER && type != SSL3_RT_HANDSHAKE) || length == 0)
        return;
    struct notes *notes = notes_make(ssl);
    enum tls_direction direction = written ? TLS_SEND : TLS_RECEIVE;
    const unsigned char *message = bytes;
    if (notes == NULL)
        return;
    if (type == SSL3_RT_HEADER)
        notes->records[direction] =
            record_changes_keys(ssl, message) ? 0 : notes->records[direction] + 1;
    else if (message_changes_keys(ssl, message))
        notes->records[direction] = 0;
    if (type == SSL3_RT_HANDSHAKE && message[0] == SSL3_MT_KEY_UPDATE)
        notes->updates[direction]++;
}

SSL_CTX *tls_keys_context(const SSL_METHOD *method)
{
    pthread_once(&library.once, prepare_library);
    if (library.index == -1)
        return NULL;
    const char *properties = tls_provider_properties();
    SSL_CTX *ctx = SSL_CTX_new_ex(NULL, properties, method);
    if (ctx == NULL)
        return NULL;
    SSL_CTX_set_msg_callback(ctx, on_message);
    if (properties == NULL)
        SSL_CTX_set_keylog_callback(ctx, on_key_log);
    return ctx;
}

void tls_keys_unwatch(SSL *ssl)
{
    struct notes *notes = library.index == -1 ? NULL : notes_of(ssl);
    if (notes == NULL)
        return;
    SSL_set_msg_callback(ssl, NULL);
    SSL_set_ex_data(ssl, library.index, NULL);
    OPENSSL_clear_free(notes, sizeof *notes);
}

uint64_t tls_keys_received(const SSL *ssl)
{
    const struct notes *notes = notes_of(ssl);
    return notes == NULL ? 0 : notes->records[TLS_RECEIVE];
}

/* ---- derived ---- */

static int derive(EVP_KDF *kdf, const OSSL_PARAM *params, unsigned char *out, size_t size)
{
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    int ok = ctx != NULL && EVP_KDF_derive(ctx, out, size, params) == 1;
    EVP_KDF_CTX_free(ctx);
    if (!ok)
        ERR_clear_error();
    return ok ? 0 : -EKEYREJECTED;
}

static OSSL_PARAM text_param(const char *name, const char *text)
{
    return OSSL_PARAM_construct_utf8_string(name, (char *)text, 0);
}

static OSSL_PARAM bytes_param(const char *name, const void *bytes, size_t size)
{
    return OSSL_PARAM_construct_octet_string(name, (void *)bytes, size);
}

/* HKDF-Expand-Label(secret, label, "", size) of RFC 8446, 7.1. */
static int expand(const struct tls_secret *secret, const char *label, unsigned char *out,
                  size_t size)
{
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        text_param(OSSL_KDF_PARAM_DIGEST, secret->length == TLS_SECRET_MAX ? "SHA384" : "SHA256"),
        bytes_param(OSSL_KDF_PARAM_KEY, secret->bytes, secret->length),
        bytes_param(OSSL_KDF_PARAM_PREFIX, "tls13 ", 6),
        bytes_param(OSSL_KDF_PARAM_LABEL, label, strlen(label)),
        OSSL_PARAM_construct_end(),
    };
    if (secret->length == 0)
        return -ENOKEY;
    return derive(library.tls13, params, out, size);
}

int tls_keys_derive(struct tls_keys *keys)
{
    pthread_once(&library.once, prepare_library);
    int rc = expand(&keys->secret, "key", keys->key, tls_cipher_key_size(keys->cipher));
    return rc < 0 ? rc : expand(&keys->secret, "iv", keys->iv, TLS_IV_SIZE);
}

int tls_keys_update(struct tls_keys *keys)
{
    pthread_once(&library.once, prepare_library);
    struct tls_secret next = { .length = keys->secret.length };
    int rc = expand(&keys->secret, "traffic upd", next.bytes, next.length);
    if (rc == 0) {
        keys->secret = next;
        keys->sequence = 0;
        rc = tls_keys_derive(keys);
    }
    OPENSSL_cleanse(&next, sizeof next);
    return rc;
}

/* The key block of RFC 5246, 6.3: keys of client and server, then what is fixed of their nonces;
 * these ciphers have no MAC keys. */
static int derive_key_block(const SSL *ssl, unsigned char *out, size_t size)
{
    static const char label[] = "key expansion";
    unsigned char master[SSL_MAX_MASTER_KEY_LENGTH];
    unsigned char seed[sizeof label - 1 + 2 * SSL3_RANDOM_SIZE];
    size_t length = SSL_SESSION_get_master_key(SSL_get_session(ssl), master, sizeof master);
    memcpy(seed, label, sizeof label - 1);
    SSL_get_server_random(ssl, seed + sizeof label - 1, SSL3_RANDOM_SIZE);
    SSL_get_client_random(ssl, seed + sizeof label - 1 + SSL3_RANDOM_SIZE, SSL3_RANDOM_SIZE);
    const EVP_MD *hash = SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(ssl));
    if (hash == NULL || length == 0)
        return -EKEYREJECTED;
    const OSSL_PARAM params[] = {
        text_param(OSSL_KDF_PARAM_DIGEST, EVP_MD_get0_name(hash)),
        bytes_param(OSSL_KDF_PARAM_SECRET, master, length),
        bytes_param(OSSL_KDF_PARAM_SEED, seed, sizeof seed),
        OSSL_PARAM_construct_end(),
    };
    int rc = derive(library.tls1_prf, params, out, size);
    OPENSSL_cleanse(master, sizeof master);
    return rc;
}

/* AES in TLS 1.2: the explicit part of the nonce that the kernel counts up from. OpenSSL counted
 * its few records from a random number of 64 bits; so the probability that a nonce is used twice is
 * 2^-39 for 2^24.5 records, less than the 2^-32 that NIST SP 800-38D, 8, allows. */
static void set_explicit_nonce(struct tls_keys *keys)
{
    for (int i = 0; i < TLS_IV_SIZE - TLS_SALT_SIZE; i++)
        keys->iv[TLS_IV_SIZE - 1 - i] = (unsigned char)(keys->sequence >> 8 * i);
}

/* Takes the keys of one direction out of the key block. */
static void take_tls12(const unsigned char *block, enum tls_direction direction,
                       struct tls_keys *keys)
{
    size_t size = tls_cipher_key_size(keys->cipher);
    size_t fixed = keys->cipher == TLS_CHACHA20_POLY1305 ? TLS_IV_SIZE : TLS_SALT_SIZE;
    bool server = (direction == TLS_SEND) == keys->server;
    memcpy(keys->key, block + (server ? size : 0), size);
    memcpy(keys->iv, block + 2 * size + (server ? fixed : 0), fixed);
    if (fixed == TLS_SALT_SIZE)
        set_explicit_nonce(keys);
}

static int get_key_block(const SSL *ssl, unsigned char *out, size_t size)
{
    const struct tls_noted *noted = &notes_of(ssl)->noted;
    if (noted->key_block_size < size)
        return derive_key_block(ssl, out, size);
    memcpy(out, noted->key_block, size);
    return 0;
}

static int get_tls12(const SSL *ssl, struct tls_keys keys[TLS_DIRECTIONS])
{
    enum tls_cipher cipher = keys[TLS_SEND].cipher;
    unsigned char block[TLS_KEY_BLOCK_MAX];
    size_t fixed = cipher == TLS_CHACHA20_POLY1305 ? TLS_IV_SIZE : TLS_SALT_SIZE;
    int rc = get_key_block(ssl, block, 2 * (tls_cipher_key_size(cipher) + fixed));
    for (enum tls_direction d = 0; rc == 0 && d < TLS_DIRECTIONS; d++)
        take_tls12(block, d, &keys[d]);
    OPENSSL_cleanse(block, sizeof block);
    return rc;
}

/* The first keys under a secret. */
static int take_tls13(const struct tls_noted_end *end, struct tls_keys *keys)
{
    keys->secret = end->secret;
    if (end->key_size != tls_cipher_key_size(keys->cipher) || end->iv_size != TLS_IV_SIZE)
        return tls_keys_derive(keys);
    memcpy(keys->key, end->key, end->key_size);
    memcpy(keys->iv, end->iv, TLS_IV_SIZE);
    return 0;
}

static int get_tls13(const struct notes *notes, enum tls_direction direction, struct tls_keys *keys)
{
    bool server = (direction == TLS_SEND) == keys->server;
    int rc = take_tls13(server ? &notes->noted.server : &notes->noted.client, keys);
    for (unsigned i = 0; rc == 0 && i < notes->updates[direction]; i++)
        rc = tls_keys_update(keys);
    keys->sequence = notes->records[direction];
    return rc;
}

/* ---- of a connection ---- */

/* CCM with tags of 8 bytes has the same NID. */
static bool has_long_tag(const SSL_CIPHER *cipher)
{
    switch (SSL_CIPHER_get_protocol_id(cipher)) {
    case 0x1305: /* TLS_AES_128_CCM_8_SHA256 */
    case 0xc0a0: /* TLS_RSA_WITH_AES_128_CCM_8 */
    case 0xc0a2: /* TLS_DHE_RSA_WITH_AES_128_CCM_8 */
    case 0xc0a8: /* TLS_PSK_WITH_AES_128_CCM_8 */
    case 0xc0aa: /* TLS_PSK_DHE_WITH_AES_128_CCM_8 */
    case 0xc0ae: /* TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8 */
        return false;
    }
    return true;
}

static int cipher_of(const SSL *ssl)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    switch (cipher == NULL ? NID_undef : SSL_CIPHER_get_cipher_nid(cipher)) {
    case NID_aes_128_gcm:
        return TLS_AES_128_GCM;
    case NID_aes_256_gcm:
        return TLS_AES_256_GCM;
    case NID_aes_128_ccm:
        return has_long_tag(cipher) ? TLS_AES_128_CCM : -EOPNOTSUPP;
    case NID_chacha20_poly1305:
        return TLS_CHACHA20_POLY1305;
    }
    return -EOPNOTSUPP;
}

static bool has_short_records(const SSL *ssl)
{
    const SSL_SESSION *session = SSL_get_session(ssl);
    return session != NULL &&
           SSL_SESSION_get_max_fragment_length(session) != TLSEXT_max_fragment_length_DISABLED;
}

/* Everything but what is derived. */
static int begin_keys(SSL *ssl, struct tls_keys keys[TLS_DIRECTIONS])
{
    const struct notes *notes = library.index == -1 ? NULL : notes_of(ssl);
    int version = SSL_version(ssl);
    int cipher = cipher_of(ssl);
    if (cipher < 0 || (version != TLS1_2_VERSION && version != TLS1_3_VERSION))
        return -EOPNOTSUPP;
    if (has_short_records(ssl))
        return -EMSGSIZE;
    if (SSL_get_key_update_type(ssl) != SSL_KEY_UPDATE_NONE)
        return -EBUSY;
    if (notes == NULL)
        return -ENOKEY;
    for (int d = 0; d < TLS_DIRECTIONS; d++)
        keys[d] = (struct tls_keys){
            .server = SSL_is_server(ssl) != 0,
            .version = (uint16_t)version,
            .cipher = (uint8_t)cipher,
            .sequence = notes->records[d],
        };
    return 0;
}

int tls_keys_get(SSL *ssl, struct tls_keys keys[TLS_DIRECTIONS])
{
    int rc = begin_keys(ssl, keys);
    if (rc == 0 && keys[TLS_SEND].version == TLS_1_2)
        return get_tls12(ssl, keys);
    for (enum tls_direction d = 0; rc == 0 && d < TLS_DIRECTIONS; d++)
        rc = get_tls13(notes_of(ssl), d, &keys[d]);
    return rc;
}
