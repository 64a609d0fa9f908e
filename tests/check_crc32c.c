#include <string.h>

#include "base/crc32c.h"
#include "suite.h"

START_TEST(it_is_the_checksum_of_the_standards)
{
    unsigned char bytes[32];
    ck_assert_uint_eq(crc32c(CRC32C_EMPTY, "123456789", 9), 0xe3069283);
    memset(bytes, 0, sizeof bytes); /* these: RFC 3720, B.4 */
    ck_assert_uint_eq(crc32c(CRC32C_EMPTY, bytes, sizeof bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    ck_assert_uint_eq(crc32c(CRC32C_EMPTY, bytes, sizeof bytes), 0x62a8ab43);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    ck_assert_uint_eq(crc32c(CRC32C_EMPTY, bytes, sizeof bytes), 0x46dd794e);
}
END_TEST

START_TEST(it_may_be_taken_in_parts)
{
    static const char text[] = "123456789";
    for (size_t cut = 0; cut <= 9; cut++)
        ck_assert_uint_eq(crc32c(crc32c(CRC32C_EMPTY, text, cut), text + cut, 9 - cut), 0xe3069283);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("crc32c");
    TCase *t = tcase_create("crc32c");
    tcase_add_test(t, it_is_the_checksum_of_the_standards);
    tcase_add_test(t, it_may_be_taken_in_parts);
    suite_add_tcase(s, t);
    return suite_main(s);
}
