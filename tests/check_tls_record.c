#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "tls/tls_keys.h"
#include "tls/tls_record.h"

/* Two ends with keys in common; the numbers of the next records are not 0. */
struct rig {
    struct tls_records *a, *b;
};

static const struct {
    uint16_t version;
    uint8_t cipher;
} kinds[] = {
    { TLS_1_2, TLS_AES_128_GCM }, { TLS_1_2, TLS_AES_256_GCM }, { TLS_1_2, TLS_CHACHA20_POLY1305 },
    { TLS_1_3, TLS_AES_128_GCM }, { TLS_1_3, TLS_AES_256_GCM }, { TLS_1_3, TLS_CHACHA20_POLY1305 },
};
#define KINDS ((int)(sizeof kinds / sizeof *kinds))

static struct rig rig_open(int i)
{
    struct tls_keys keys[TLS_DIRECTIONS], mirrored[TLS_DIRECTIONS];
    for (int d = 0; d < TLS_DIRECTIONS; d++) {
        keys[d] = (struct tls_keys){ .version = kinds[i].version,
                                     .cipher = kinds[i].cipher,
                                     .sequence = 5 + (uint64_t)d,
                                     .secret = { .length = 32 } };
        memset(keys[d].secret.bytes, 1 + d, 32);
        ck_assert_int_eq(tls_keys_derive(&keys[d]), 0);
    }
    mirrored[TLS_SEND] = keys[TLS_RECEIVE];
    mirrored[TLS_RECEIVE] = keys[TLS_SEND];
    struct rig r = { tls_records_new(keys), tls_records_new(mirrored) };
    ck_assert(r.a != NULL && r.b != NULL);
    return r;
}

static void rig_close(struct rig *r)
{
    tls_records_free(r->a);
    tls_records_free(r->b);
}

/* Returns the bytes of the record. */
static size_t seal(struct tls_records *r, uint8_t type, const char *text, unsigned char *out)
{
    ssize_t n = tls_records_seal(r, type, text, strlen(text), out);
    ck_assert_int_gt(n, 0);
    ck_assert_int_eq(tls_records_size(r, out), n);
    ck_assert_uint_eq(tls_records_plaintext(r, (size_t)n), strlen(text));
    return (size_t)n;
}

static void must_open(struct tls_records *r, const unsigned char *record, size_t size, uint8_t type,
                      const char *text)
{
    unsigned char data[64];
    uint8_t found = 0;
    ssize_t n = tls_records_open(r, record, size, &found, data);
    ck_assert_int_eq(n, (ssize_t)strlen(text));
    ck_assert_int_eq(found, type);
    ck_assert_mem_eq(data, text, strlen(text));
}

START_TEST(what_is_sealed_is_opened_in_its_order)
{
    struct rig r = rig_open(_i);
    unsigned char first[128], second[128], third[128];
    size_t a = seal(r.a, TLS_RECORD_APPLICATION_DATA, "hello", first);
    size_t b = seal(r.a, TLS_RECORD_ALERT, "\1", second);
    size_t c = seal(r.a, TLS_RECORD_APPLICATION_DATA, "", third);
    must_open(r.b, first, a, TLS_RECORD_APPLICATION_DATA, "hello");
    must_open(r.b, second, b, TLS_RECORD_ALERT, "\1");
    must_open(r.b, third, c, TLS_RECORD_APPLICATION_DATA, "");
    a = seal(r.b, TLS_RECORD_APPLICATION_DATA, "back", first);
    must_open(r.a, first, a, TLS_RECORD_APPLICATION_DATA, "back");
    rig_close(&r);
}
END_TEST

START_TEST(each_bit_of_a_record_is_authenticated)
{
    struct rig r = rig_open(_i);
    unsigned char record[128], data[128];
    uint8_t type = 0;
    size_t n = seal(r.a, TLS_RECORD_APPLICATION_DATA, "hello", record);
    for (size_t bit = 0; bit < 8 * n; bit++) {
        if (bit / 8 >= 1 && bit / 8 < 5) /* version and length: tls_records_size() */
            continue;
        record[bit / 8] ^= (unsigned char)(1 << bit % 8);
        ck_assert_int_lt(tls_records_open(r.b, record, n, &type, data), 0);
        record[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    for (size_t cut = 5; cut < n; cut++)
        ck_assert_int_lt(tls_records_open(r.b, record, cut, &type, data), 0);
    must_open(r.b, record, n, TLS_RECORD_APPLICATION_DATA, "hello");
    ck_assert_int_eq(tls_records_open(r.b, record, n, &type, data), -EBADMSG); /* once */
    rig_close(&r);
}
END_TEST

START_TEST(long_records_are_refused)
{
    struct rig r = rig_open(_i);
    unsigned char header[] = { 23, 3, 3, 0, 0 };
    unsigned most = 16384 + (kinds[_i].version == TLS_1_3 ? 256 : 2048);
    header[3] = (unsigned char)(most >> 8);
    header[4] = (unsigned char)most;
    ck_assert_int_eq(tls_records_size(r.a, header), (ssize_t)most + 5);
    header[4]++;
    ck_assert_int_eq(tls_records_size(r.a, header), -EMSGSIZE);
    header[0] = 'G';
    ck_assert_int_eq(tls_records_size(r.a, header), -EPROTO);
    header[0] = TLS_RECORD_ALERT;
    header[2] = 1;
    ck_assert_int_eq(tls_records_size(r.a, header), -EPROTONOSUPPORT);
    static unsigned char data[TLS_RECORD_DATA + 1], record[TLS_RECORD_MAX + 64],
        out[TLS_RECORD_MAX];
    uint8_t type = 0;
    ssize_t n = tls_records_seal(r.a, TLS_RECORD_APPLICATION_DATA, data, TLS_RECORD_DATA, record);
    ck_assert_int_eq(tls_records_open(r.b, record, (size_t)n, &type, out), TLS_RECORD_DATA);
    n = tls_records_seal(r.a, TLS_RECORD_APPLICATION_DATA, data, sizeof data, record);
    ck_assert_int_eq(tls_records_open(r.b, record, (size_t)n, &type, out), -EMSGSIZE);
    rig_close(&r);
}
END_TEST

/* Padding is zeros behind the type: a record whose data ends like one with padding. */
START_TEST(padding_is_taken_off)
{
    struct rig r = rig_open(_i);
    static const unsigned char padded[] = { 'h', 'i', TLS_RECORD_HANDSHAKE, 0, 0 };
    unsigned char record[128], data[128];
    uint8_t type = 0;
    ssize_t n = tls_records_seal(r.a, 0, padded, sizeof padded, record);
    ck_assert_int_eq(tls_records_open(r.b, record, (size_t)n, &type, data), 2);
    ck_assert_int_eq(type, TLS_RECORD_HANDSHAKE);
    n = tls_records_seal(r.a, 0, "\0\0", 2, record);
    ck_assert_int_eq(tls_records_open(r.b, record, (size_t)n, &type, data), -EPROTO);
    rig_close(&r);
}
END_TEST

START_TEST(keys_are_updated_on_both_ends)
{
    struct rig r = rig_open(_i);
    unsigned char record[128], data[128];
    uint8_t type = 0;
    ck_assert_int_eq(tls_records_update(r.a, TLS_SEND), 0);
    size_t n = seal(r.a, TLS_RECORD_APPLICATION_DATA, "new", record);
    ck_assert_int_eq(tls_records_open(r.b, record, n, &type, data), -EBADMSG);
    ck_assert_int_eq(tls_records_update(r.b, TLS_RECEIVE), 0);
    must_open(r.b, record, n, TLS_RECORD_APPLICATION_DATA, "new");
    rig_close(&r);
}
END_TEST

/* TLS 1.3 changes the key before. */
START_TEST(a_key_of_aes_gcm_is_used_up_in_tls_12)
{
    bool is_limited = _i < 2;
    for (int more = 0; more < 2; more++) {
        struct tls_keys keys[TLS_DIRECTIONS];
        for (int d = 0; d < TLS_DIRECTIONS; d++)
            keys[d] = (struct tls_keys){ .version = kinds[_i].version,
                                         .cipher = kinds[_i].cipher,
                                         .sequence = TLS_GCM_RECORDS_MAX - 1 + (uint64_t)more };
        struct tls_records *r = tls_records_new(keys);
        ck_assert(r != NULL);
        ck_assert_int_eq(tls_records_are_used_up(r), is_limited && more == 1);
        tls_records_free(r);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("tls_record");
    TCase *t = tcase_create("records");
    tcase_add_loop_test(t, what_is_sealed_is_opened_in_its_order, 0, KINDS);
    tcase_add_loop_test(t, each_bit_of_a_record_is_authenticated, 0, KINDS);
    tcase_add_loop_test(t, long_records_are_refused, 0, KINDS);
    tcase_add_loop_test(t, padding_is_taken_off, 3, KINDS); /* TLS 1.3 */
    tcase_add_loop_test(t, keys_are_updated_on_both_ends, 3, KINDS);
    tcase_add_loop_test(t, a_key_of_aes_gcm_is_used_up_in_tls_12, 0, KINDS);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return suite_main(suite());
}
