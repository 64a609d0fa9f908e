#include "tls/tls_tickets.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/safe_open.h"
#include "tls/tls_stream.h"

#define NAME_SIZE   16
#define RENEW_AFTER (24 * 60 * 60) /* s */
#define SECRET_MAX  32

struct ticket_key {
    unsigned char name[NAME_SIZE];
    unsigned char hmac[SECRET_MAX];
    unsigned char cipher[SECRET_MAX];
    size_t size; /* of hmac and cipher: 16 (AES-128) or 32 (AES-256) */
};

struct tls_ticket_keys {
    size_t count;
    struct ticket_key key[];
};

/* Of the process. A handshake takes the lock for the copy of a key. */
static struct {
    pthread_mutex_t lock;
    time_t made; /* CLOCK_MONOTONIC; 0: none yet */
    struct ticket_key key[2];
    size_t count;
} own = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Fetched once: fetching takes longer than to encrypt a ticket. */
static struct {
    pthread_once_t once;
    int index; /* of struct tls_tickets in the ex_data of an SSL_CTX; -1: no memory */
    EVP_CIPHER *aes_128, *aes_256;
} library = { .once = PTHREAD_ONCE_INIT, .index = -1 };

static void prepare_library(void)
{
    library.aes_128 = EVP_CIPHER_fetch(NULL, "AES-128-CBC", NULL);
    library.aes_256 = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    if (library.aes_128 != NULL && library.aes_256 != NULL)
        library.index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

/* ---- files ---- */

static int parse_key(struct ticket_key *k, const unsigned char *bytes, size_t n)
{
    if (n != NAME_SIZE + 2 * 16 && n != NAME_SIZE + 2 * SECRET_MAX)
        return -EINVAL;
    k->size = (n - NAME_SIZE) / 2;
    memcpy(k->name, bytes, NAME_SIZE);
    /* In a file of 48 bytes the key of the cipher comes first, as in nginx. */
    bool cipher_first = k->size == 16;
    memcpy(k->hmac, bytes + NAME_SIZE + (cipher_first ? k->size : 0), k->size);
    memcpy(k->cipher, bytes + NAME_SIZE + (cipher_first ? 0 : k->size), k->size);
    return 0;
}

static int read_key(struct ticket_key *k, const char *file, char text[TLS_FILE_ERROR_MAX])
{
    unsigned char bytes[NAME_SIZE + 2 * SECRET_MAX + 1];
    int fd = safe_open_read(file);
    if (fd < 0) {
        snprintf(text, TLS_FILE_ERROR_MAX, "\"%.255s\": %s", file, safe_open_strerror(fd));
        return fd;
    }
    ssize_t n = read(fd, bytes, sizeof bytes);
    int rc = n < 0 ? -errno : parse_key(k, bytes, (size_t)n);
    close(fd);
    OPENSSL_cleanse(bytes, sizeof bytes);
    if (n < 0)
        snprintf(text, TLS_FILE_ERROR_MAX, "\"%.255s\": %s", file, strerror(-rc));
    else if (rc < 0)
        snprintf(text, TLS_FILE_ERROR_MAX,
                 "\"%.255s\": not a ticket key, expected 48 or 80 random bytes "
                 "(openssl rand 80)",
                 file);
    return rc;
}

int tls_tickets_load(struct tls_ticket_keys **keys, char *const *file, size_t count, size_t *bad,
                     char text[TLS_FILE_ERROR_MAX])
{
    *keys = NULL;
    *bad = 0;
    if (count == 0)
        return 0;
    struct tls_ticket_keys *made = calloc(1, sizeof *made + count * sizeof made->key[0]);
    if (made == NULL) {
        snprintf(text, TLS_FILE_ERROR_MAX, "out of memory");
        return -ENOMEM;
    }
    int rc = 0;
    made->count = count;
    for (size_t i = 0; i < count && rc == 0; i++) {
        *bad = i;
        rc = read_key(&made->key[i], file[i], text);
    }
    if (rc < 0)
        tls_tickets_free(made);
    else
        *keys = made;
    return rc;
}

void tls_tickets_free(struct tls_ticket_keys *keys)
{
    if (keys == NULL)
        return;
    OPENSSL_cleanse(keys->key, keys->count * sizeof keys->key[0]);
    free(keys);
}

uint64_t tls_tickets_digest(const struct tls_ticket_keys *keys, size_t i)
{
    return hash_bytes(&keys->key[i], sizeof keys->key[i]);
}

/* ---- keys of the process ---- */

static time_t ticket_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

/* To be called with the lock. A day without a handshake makes the old key unreadable too. */
static bool renew(void)
{
    time_t now = ticket_clock();
    struct ticket_key fresh = { .size = SECRET_MAX };
    if (own.count > 0 && now - own.made < RENEW_AFTER)
        return true;
    if (RAND_bytes(fresh.name, sizeof fresh.name) != 1 ||
        RAND_priv_bytes(fresh.hmac, sizeof fresh.hmac) != 1 ||
        RAND_priv_bytes(fresh.cipher, sizeof fresh.cipher) != 1)
        return false;
    bool keeps = own.count > 0 && now - own.made < 2 * RENEW_AFTER;
    own.key[1] = own.key[0];
    own.key[0] = fresh;
    own.count = keeps ? 2 : 1;
    own.made = now;
    OPENSSL_cleanse(&fresh, sizeof fresh);
    return true;
}

/* Copies the key for new tickets, or the one of that name; *old: it is not the newest. */
static bool find_in(const struct ticket_key *key, size_t count, const unsigned char *name,
                    struct ticket_key *found, bool *old)
{
    for (size_t i = 0; i < count; i++)
        if (name == NULL || memcmp(key[i].name, name, NAME_SIZE) == 0) {
            *found = key[i];
            *old = i > 0;
            return true;
        }
    return false;
}

static bool find_key(const struct tls_ticket_keys *keys, const unsigned char *name,
                     struct ticket_key *found, bool *old)
{
    if (keys != NULL)
        return find_in(keys->key, keys->count, name, found, old);
    pthread_mutex_lock(&own.lock);
    bool ok = renew() && find_in(own.key, own.count, name, found, old);
    pthread_mutex_unlock(&own.lock);
    return ok;
}

/* ---- tickets ---- */

static bool set_hmac(EVP_MAC_CTX *hmac, struct ticket_key *k)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k->hmac, k->size),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(hmac, params) == 1;
}

static const EVP_CIPHER *cipher_of_key(const struct ticket_key *k)
{
    return k->size == 16 ? library.aes_128 : library.aes_256;
}

static int use_key(struct ticket_key *k, unsigned char *name, unsigned char *iv,
                   EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *hmac, int encrypt)
{
    if (encrypt) {
        memcpy(name, k->name, NAME_SIZE);
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(cipher_of_key(k))) != 1)
            return -1;
    }
    if (EVP_CipherInit_ex(cipher, cipher_of_key(k), NULL, k->cipher, iv, encrypt) != 1 ||
        !set_hmac(hmac, k))
        return -1;
    return 1;
}

/* A ticket of TLS 1.3 is used once (RFC 8446, C.4), so its client gets a new one. */
static bool is_replaced(const SSL *ssl, bool old)
{
    return old || SSL_version(ssl) == TLS1_3_VERSION;
}

/* Returns 1; 2: the ticket is read, and the client gets a new one; 0: not known; -1: error. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *hmac, int encrypt)
{
    const struct tls_tickets *t = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), library.index);
    struct ticket_key key;
    bool old = false;
    if (!find_key(t->keys, encrypt ? NULL : name, &key, &old))
        return 0;
    int rc = use_key(&key, name, iv, cipher, hmac, encrypt);
    OPENSSL_cleanse(&key, sizeof key);
    return rc == 1 && !encrypt && is_replaced(ssl, old) ? 2 : rc;
}

/* ---- what a session is bound to ---- */

/* Stands in the ticket, with as many bytes of the name as it has. A machine of another byte order
 * reads another identity, so that it refuses the ticket. */
struct ticket_note {
    int64_t until; /* CLOCK_REALTIME, which machines with the same keys share */
    uint64_t identity;
    char name[TLSEXT_MAXLEN_host_name];
};

static size_t note_size(size_t name)
{
    return offsetof(struct ticket_note, name) + name;
}

/* Returns the bytes of the name, or -1: there is no note. */
static int note_read(SSL_SESSION *session, struct ticket_note *note)
{
    void *bytes = NULL;
    size_t size = 0;
    if (SSL_SESSION_get0_ticket_appdata(session, &bytes, &size) != 1 || size < note_size(0) ||
        size > note_size(sizeof note->name))
        return -1;
    memcpy(note, bytes, size);
    return (int)(size - note_size(0));
}

/* The end of a session that is resumed stays. */
static int64_t end_of_session(SSL *ssl)
{
    struct ticket_note former;
    if (SSL_session_reused(ssl) && note_read(SSL_get_session(ssl), &former) >= 0)
        return former.until;
    return time(NULL) + TLS_TICKETS_LIFETIME;
}

/* OpenSSL has begun the time of a session of TLS 1.3 again, and tells the client its timeout, which
 * may be 7 days at most (RFC 8446, 4.6.1), also when the clock was set back. */
static void set_timeout(SSL *ssl, int64_t until)
{
    int64_t left = until - time(NULL);
    if (left < 0)
        left = 0;
    if (left > TLS_TICKETS_LIFETIME)
        left = TLS_TICKETS_LIFETIME;
    if (SSL_version(ssl) == TLS1_3_VERSION)
        SSL_SESSION_set_timeout(SSL_get_session(ssl), (long)left);
}

static int on_new_session(SSL *ssl, void *arg)
{
    const struct tls_tickets *t = arg;
    const char *name = tls_stream_server_name(tls_stream_of(ssl));
    size_t length = strlen(name);
    struct ticket_note note = { .until = end_of_session(ssl),
                                .identity = t->identity(t->arg, name) };
    if (length > sizeof note.name)
        return 0;
    memcpy(note.name, name, length);
    set_timeout(ssl, note.until);
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), &note, note_size(length));
}

/* A certificate of a client that has expired is not good any more, though it was verified. */
static bool has_expired(const SSL_SESSION *session)
{
    X509 *peer = SSL_SESSION_get0_peer((SSL_SESSION *)session);
    return peer != NULL && X509_cmp_current_time(X509_get0_notAfter(peer)) < 0;
}

/* A session is not resumed under another name (RFC 6066, 3): what the name decides, such as the
 * certificate, would be that of the former name. */
static bool may_be_resumed(SSL *ssl, SSL_SESSION *session, const struct tls_tickets *t)
{
    const char *name = tls_stream_server_name(tls_stream_of(ssl));
    struct ticket_note note;
    int length = note_read(session, &note);
    return length >= 0 && (size_t)length == strlen(name) &&
           strncasecmp(note.name, name, (size_t)length) == 0 && time(NULL) < note.until &&
           note.identity == t->identity(t->arg, name) && !has_expired(session);
}

static SSL_TICKET_RETURN on_old_session(SSL *ssl, SSL_SESSION *session,
                                        const unsigned char *key_name, size_t size,
                                        SSL_TICKET_STATUS status, void *arg)
{
    (void)key_name, (void)size;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    if (!may_be_resumed(ssl, session, arg))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

int tls_tickets_use(SSL_CTX *ctx, const struct tls_tickets *tickets)
{
    pthread_once(&library.once, prepare_library);
    SSL_CTX_set_timeout(ctx, TLS_TICKETS_LIFETIME);
    if (library.index == -1 || SSL_CTX_set_ex_data(ctx, library.index, (void *)tickets) != 1 ||
        SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) != 1 ||
        SSL_CTX_set_session_ticket_cb(ctx, on_new_session, on_old_session, (void *)tickets) != 1)
        return -ENOMEM;
    return 0;
}
