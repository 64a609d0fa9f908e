#include "tls/tls_session_cache.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "base/hash.h"

#define BUCKETS 512u /* a power of 2 */

/* s; OpenSSL does not verify the certificate again when a session is resumed. */
#define AGE_MAX 3600

/* An entry is in the cache from its first session on, until it makes room for another one. */
struct tls_session_entry {
    struct tls_session_cache *cache;
    uint64_t context;
    uint32_t server;
    uint32_t refs; /* connections, and the cache */
    uint64_t hash;
    SSL_SESSION *session; /* NULL: none yet */
    bool is_listed;
    SLIST_ENTRY(tls_session_entry) in_bucket;
    TAILQ_ENTRY(tls_session_entry) by_use;
    char host[];
};

SLIST_HEAD(bucket, tls_session_entry);

struct tls_session_cache {
    size_t count;
    TAILQ_HEAD(tls_session_entries, tls_session_entry) entries; /* the last used first */
    struct bucket bucket[BUCKETS];
};

struct tls_session_cache *tls_session_cache_new(void)
{
    struct tls_session_cache *c = calloc(1, sizeof *c);
    if (c != NULL)
        TAILQ_INIT(&c->entries);
    return c;
}

static void unlist(struct tls_session_entry *e)
{
    struct tls_session_cache *c = e->cache;
    SLIST_REMOVE(&c->bucket[e->hash % BUCKETS], e, tls_session_entry, in_bucket);
    TAILQ_REMOVE(&c->entries, e, by_use);
    c->count--;
    e->is_listed = false;
    tls_session_entry_put(e);
}

void tls_session_cache_free(struct tls_session_cache *c)
{
    if (c == NULL)
        return;
    while (!TAILQ_EMPTY(&c->entries))
        unlist(TAILQ_FIRST(&c->entries));
    free(c);
}

static uint64_t hash_key(const struct tls_session_key *key)
{
    uint64_t of_host = hash_bytes(key->host, strlen(key->host));
    return hash_splitmix64(hash_splitmix64(key->context, key->server), of_host);
}

static struct tls_session_entry *find(const struct tls_session_cache *c,
                                      const struct tls_session_key *key, uint64_t hash)
{
    struct tls_session_entry *e;
    SLIST_FOREACH(e, &c->bucket[hash % BUCKETS], in_bucket)
        if (e->context == key->context && e->server == key->server &&
            strcmp(e->host, key->host) == 0)
            return e;
    return NULL;
}

struct tls_session_entry *tls_session_cache_get(struct tls_session_cache *c,
                                                const struct tls_session_key *key)
{
    uint64_t hash = hash_key(key);
    size_t size = strlen(key->host) + 1;
    struct tls_session_entry *e = find(c, key, hash);
    if (e != NULL) {
        TAILQ_REMOVE(&c->entries, e, by_use);
        TAILQ_INSERT_HEAD(&c->entries, e, by_use);
        e->refs++;
        return e;
    }
    e = calloc(1, sizeof *e + size);
    if (e == NULL)
        return NULL;
    e->cache = c;
    e->context = key->context;
    e->server = key->server;
    e->hash = hash;
    e->refs = 1;
    memcpy(e->host, key->host, size);
    return e;
}

void tls_session_entry_put(struct tls_session_entry *e)
{
    if (e == NULL || --e->refs > 0)
        return;
    SSL_SESSION_free(e->session);
    free(e);
}

/* SSL_SESSION_get_time() is deprecated since OpenSSL 3.4, the other is there since 3.3. */
static time_t made_at(const SSL_SESSION *session)
{
#if OPENSSL_VERSION_NUMBER >= 0x30300000L
    return SSL_SESSION_get_time_ex(session);
#else
    return SSL_SESSION_get_time(session);
#endif
}

static bool is_fresh(const SSL_SESSION *session)
{
    long age = (long)(time(NULL) - made_at(session));
    long timeout = SSL_SESSION_get_timeout(session);
    return age >= 0 && age < AGE_MAX && age < timeout && SSL_SESSION_is_resumable(session);
}

struct ssl_session_st *tls_session_entry_session(struct tls_session_entry *e)
{
    if (e->session == NULL || is_fresh(e->session))
        return e->session;
    SSL_SESSION_free(e->session);
    e->session = NULL;
    return NULL;
}

static void list(struct tls_session_entry *e)
{
    struct tls_session_cache *c = e->cache;
    if (c->count == TLS_SESSIONS_MAX)
        unlist(TAILQ_LAST(&c->entries, tls_session_entries));
    SLIST_INSERT_HEAD(&c->bucket[e->hash % BUCKETS], e, in_bucket);
    TAILQ_INSERT_HEAD(&c->entries, e, by_use);
    c->count++;
    e->refs++;
    e->is_listed = true;
}

void tls_session_entry_keep(struct tls_session_entry *e, struct ssl_session_st *session)
{
    const struct tls_session_key key = { e->context, e->server, e->host };
    struct tls_session_entry *other = e->is_listed ? e : find(e->cache, &key, e->hash);
    if (other == NULL)
        list(other = e);
    SSL_SESSION_free(other->session);
    other->session = session;
}

size_t tls_session_cache_count(const struct tls_session_cache *c)
{
    return c == NULL ? 0 : c->count;
}
