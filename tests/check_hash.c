#include "base/hash.h"
#include "suite.h"

/* FNV-1a of "" and "foobar" by its authors' test vectors, stirred. */
START_TEST(bytes_hash_to_what_they_always_have)
{
    ck_assert_uint_eq(hash_bytes("", 0), hash_mix(0xcbf29ce484222325));
    ck_assert_uint_eq(hash_bytes("foobar", 6), hash_mix(0x85944171f73967e8));
}
END_TEST

START_TEST(near_numbers_are_stirred_apart)
{
    for (uint64_t n = 1; n < 1000; n++) {
        int differ = __builtin_popcountll(hash_mix(n) ^ hash_mix(n + 1));
        ck_assert_int_ge(differ, 10);
        ck_assert_int_le(differ, 54);
    }
}
END_TEST

START_TEST(every_bit_of_a_sequence_is_set_half_of_the_time)
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

int main(void)
{
    Suite *s = suite_create("hash");
    TCase *t = tcase_create("hash");
    tcase_add_test(t, bytes_hash_to_what_they_always_have);
    tcase_add_test(t, near_numbers_are_stirred_apart);
    tcase_add_test(t, every_bit_of_a_sequence_is_set_half_of_the_time);
    suite_add_tcase(s, t);
    return suite_main(s);
}
