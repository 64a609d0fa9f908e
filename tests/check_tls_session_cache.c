#include <openssl/ssl.h>
#include <stdio.h>
#include <time.h>

#include "suite.h"
#include "tls/tls_session_cache.h"

static struct tls_session_cache *cache;

static void make(void)
{
    cache = tls_session_cache_new();
    ck_assert_ptr_nonnull(cache);
}

static void drop(void)
{
    tls_session_cache_free(cache);
}

static SSL_SESSION *new_session(void)
{
    const unsigned char id[] = "an id";
    SSL_SESSION *session = SSL_SESSION_new();
    ck_assert_int_eq(SSL_SESSION_set1_id(session, id, sizeof id), 1);
    return session;
}

/* SSL_SESSION_set_time() is deprecated since OpenSSL 3.4, the other is there since 3.3. */
static void make_older(SSL_SESSION *session, int seconds)
{
#if OPENSSL_VERSION_NUMBER >= 0x30300000L
    (void)SSL_SESSION_set_time_ex(session, time(NULL) - seconds);
#else
    SSL_SESSION_set_time(session, (long)time(NULL) - seconds);
#endif
}

static void keep(uint64_t context, uint32_t server, const char *host, SSL_SESSION *session)
{
    const struct tls_session_key key = { context, server, host };
    struct tls_session_entry *e = tls_session_cache_get(cache, &key);
    tls_session_entry_keep(e, session);
    tls_session_entry_put(e);
}

/* What a connection that begins now would resume. */
static SSL_SESSION *found(uint64_t context, uint32_t server, const char *host)
{
    const struct tls_session_key key = { context, server, host };
    struct tls_session_entry *e = tls_session_cache_get(cache, &key);
    SSL_SESSION *session = tls_session_entry_session(e);
    tls_session_entry_put(e);
    return session;
}

START_TEST(a_session_is_continued_with_its_server_context_and_name_only)
{
    SSL_SESSION *one = new_session();
    keep(1, 1, "a.test", one);
    ck_assert_ptr_eq(found(1, 1, "a.test"), one);
    ck_assert_ptr_null(found(2, 1, "a.test"));
    ck_assert_ptr_null(found(1, 2, "a.test"));
    ck_assert_ptr_null(found(1, 1, "b.test"));
    ck_assert_ptr_null(found(1, 1, ""));
    ck_assert_uint_eq(tls_session_cache_count(cache), 1);
}
END_TEST

START_TEST(the_newest_session_counts)
{
    const struct tls_session_key key = { 1, 1, "a.test" };
    struct tls_session_entry *early = tls_session_cache_get(cache, &key);
    struct tls_session_entry *other = tls_session_cache_get(cache, &key);
    SSL_SESSION *first = new_session();
    SSL_SESSION *second = new_session();
    tls_session_entry_keep(early, first);
    tls_session_entry_keep(other, second);
    ck_assert_ptr_eq(found(1, 1, "a.test"), second);
    tls_session_entry_put(early);
    tls_session_entry_put(other);
    ck_assert_ptr_eq(found(1, 1, "a.test"), second);
    ck_assert_uint_eq(tls_session_cache_count(cache), 1);
}
END_TEST

START_TEST(a_session_that_is_old_or_cannot_be_continued_is_dropped)
{
    SSL_SESSION *old = new_session();
    SSL_SESSION_set_timeout(old, 100000);
    make_older(old, 3601);
    keep(1, 1, "old", old);
    ck_assert_ptr_null(found(1, 1, "old"));
    SSL_SESSION *over = new_session();
    SSL_SESSION_set_timeout(over, 10);
    make_older(over, 11);
    keep(1, 1, "over", over);
    ck_assert_ptr_null(found(1, 1, "over"));
    keep(1, 1, "no id", SSL_SESSION_new());
    ck_assert_ptr_null(found(1, 1, "no id"));
}
END_TEST

START_TEST(the_session_that_was_used_least_recently_makes_room)
{
    char name[32];
    for (uint32_t i = 0; i < TLS_SESSIONS_MAX; i++) {
        snprintf(name, sizeof name, "%u.test", i);
        keep(1, i, name, new_session());
    }
    ck_assert_ptr_nonnull(found(1, 0, "0.test"));
    const struct tls_session_key key = { 1, 1, "1.test" };
    keep(1, TLS_SESSIONS_MAX, "new", new_session());
    keep(1, TLS_SESSIONS_MAX + 1, "new", new_session());
    ck_assert_uint_eq(tls_session_cache_count(cache), TLS_SESSIONS_MAX);
    ck_assert_ptr_nonnull(found(1, 0, "0.test"));
    ck_assert_ptr_null(found(1, 1, "1.test"));
    struct tls_session_entry *e = tls_session_cache_get(cache, &key); /* a connection that begins */
    tls_session_entry_keep(e, new_session());
    tls_session_entry_put(e);
    ck_assert_ptr_nonnull(found(1, 1, "1.test"));
    ck_assert_uint_eq(tls_session_cache_count(cache), TLS_SESSIONS_MAX);
}
END_TEST

START_TEST(a_connection_may_outlive_its_place_in_the_cache)
{
    const struct tls_session_key key = { 1, 1, "long.test" };
    struct tls_session_entry *e = tls_session_cache_get(cache, &key);
    tls_session_entry_keep(e, new_session());
    for (uint32_t i = 2; i < TLS_SESSIONS_MAX + 2; i++)
        keep(1, i, "", new_session());
    ck_assert_ptr_null(found(1, 1, "long.test"));
    tls_session_entry_keep(e, new_session());
    ck_assert_ptr_nonnull(found(1, 1, "long.test"));
    ck_assert_uint_eq(tls_session_cache_count(cache), TLS_SESSIONS_MAX);
    tls_session_entry_put(e);
    ck_assert_ptr_nonnull(found(1, 1, "long.test"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls_session_cache");
    TCase *t = tcase_create("sessions");
    tcase_add_checked_fixture(t, make, drop);
    tcase_add_test(t, a_session_is_continued_with_its_server_context_and_name_only);
    tcase_add_test(t, the_newest_session_counts);
    tcase_add_test(t, a_session_that_is_old_or_cannot_be_continued_is_dropped);
    tcase_add_test(t, the_session_that_was_used_least_recently_makes_room);
    tcase_add_test(t, a_connection_may_outlive_its_place_in_the_cache);
    suite_add_tcase(s, t);
    return suite_main(s);
}
