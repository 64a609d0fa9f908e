#include <string.h>

#include "base/hash.h"
#include "suite.h"

/* The FNV-1a values of "" and "foobar" are test vectors of its authors. */
START_TEST(hash_bytes_is_fnv1a_then_mix)
{
    ck_assert_uint_eq(hash_bytes("", 0), hash_mix(0xcbf29ce484222325));
    ck_assert_uint_eq(hash_bytes("foobar", 6), hash_mix(0x85944171f73967e8));
}
END_TEST

START_TEST(mixed_neighbours_differ_in_about_half_of_their_bits)
{
    for (uint64_t n = 1; n < 1000; n++) {
        int differ = __builtin_popcountll(hash_mix(n) ^ hash_mix(n + 1));
        ck_assert_int_ge(differ, 10);
        ck_assert_int_le(differ, 54);
    }
}
END_TEST

START_TEST(each_bit_of_splitmix64_is_set_half_of_the_time)
{
    unsigned ones[64] = { 0 };
    for (uint64_t n = 0; n < 10000; n++)
        for (int bit = 0; bit < 64; bit++)
            ones[bit] += hash_splitmix64(1, n) >> bit & 1;
    for (int bit = 0; bit < 64; bit++) {
        ck_assert_uint_ge(ones[bit], 4800);
        ck_assert_uint_le(ones[bit], 5200);
    }
}
END_TEST

/* Test vectors of the paper: key 00 01 .. 0f, message 00 01 .. */
START_TEST(siphash_gives_the_values_of_its_paper)
{
    static const struct hash_key key = { { 0x0706050403020100, 0x0f0e0d0c0b0a0908 } };
    static const uint64_t expected[] = {
        /* of the first 0, 1, 7, 8 and 15 bytes */
        0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0xab0200f58b01d137,
        0x93f5f5799a932462, 0xa129ca6149be45e5,
    };
    static const size_t sizes[] = { 0, 1, 7, 8, 15 };
    unsigned char bytes[15];
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    for (int i = 0; i < 5; i++)
        ck_assert_uint_eq(hash_siphash(&key, bytes, sizes[i]), expected[i]);
}
END_TEST

static uint32_t crc_of(const void *bytes, size_t n)
{
    return hash_crc32c(HASH_CRC32C_EMPTY, bytes, n);
}

START_TEST(crc32c_gives_the_values_of_rfc_3720)
{
    unsigned char bytes[32];
    ck_assert_uint_eq(crc_of("123456789", 9), 0xe3069283);
    memset(bytes, 0, sizeof bytes); /* these: RFC 3720, B.4 */
    ck_assert_uint_eq(crc_of(bytes, sizeof bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    ck_assert_uint_eq(crc_of(bytes, sizeof bytes), 0x62a8ab43);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    ck_assert_uint_eq(crc_of(bytes, sizeof bytes), 0x46dd794e);
}
END_TEST

START_TEST(crc32c_of_two_parts_is_that_of_the_whole)
{
    static const char text[] = "123456789";
    for (size_t cut = 0; cut <= 9; cut++)
        ck_assert_uint_eq(hash_crc32c(crc_of(text, cut), text + cut, 9 - cut), 0xe3069283);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hash");
    TCase *t = tcase_create("hash");
    tcase_add_test(t, hash_bytes_is_fnv1a_then_mix);
    tcase_add_test(t, mixed_neighbours_differ_in_about_half_of_their_bits);
    tcase_add_test(t, each_bit_of_splitmix64_is_set_half_of_the_time);
    tcase_add_test(t, siphash_gives_the_values_of_its_paper);
    tcase_add_test(t, crc32c_gives_the_values_of_rfc_3720);
    tcase_add_test(t, crc32c_of_two_parts_is_that_of_the_whole);
    suite_add_tcase(s, t);
    return suite_main(s);
}
