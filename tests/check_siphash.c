#include "base/siphash.h"
#include "suite.h"

/* The paper's own: key 00 01 .. 0f, message 00 01 .. */
static const struct siphash_key key = { { 0x0706050403020100, 0x0f0e0d0c0b0a0908 } };

START_TEST(it_is_the_hash_of_the_paper)
{
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
        ck_assert_uint_eq(siphash(&key, bytes, sizes[i]), expected[i]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("siphash");
    TCase *t = tcase_create("siphash");
    tcase_add_test(t, it_is_the_hash_of_the_paper);
    suite_add_tcase(s, t);
    return suite_main(s);
}
