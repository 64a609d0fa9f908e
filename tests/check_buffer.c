#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "suite.h"

START_TEST(bytes_come_out_in_order)
{
    struct buffer b = { 0 };
    unsigned char next_in = 0, next_out = 0;
    for (size_t i = 0; i < 5000; i++) {
        unsigned char bytes[97];
        size_t size = i * 31 % sizeof bytes;
        for (size_t k = 0; k < size; k++)
            bytes[k] = next_in++;
        ck_assert_int_eq(buffer_append(&b, bytes, size), 0);
        size_t taken = buffer_size(&b) * (i % 3) / 2;
        for (size_t k = 0; k < taken; k++)
            ck_assert_uint_eq(buffer_bytes(&b)[k], next_out++);
        buffer_consume(&b, taken);
    }
    ck_assert_uint_gt(buffer_size(&b), 0);
    while (buffer_size(&b) > 0) {
        ck_assert_uint_eq(*buffer_bytes(&b), next_out++);
        buffer_consume(&b, 1);
    }
    ck_assert_uint_eq(next_in, next_out);
    buffer_free(&b);
}
END_TEST

START_TEST(memory_is_kept_between_bytes)
{
    struct buffer b = { 0 };
    char bytes[16000] = { 0 };
    ck_assert_int_eq(buffer_append(&b, bytes, sizeof bytes), 0);
    const unsigned char *memory = b.memory;
    for (size_t size = 1; size <= sizeof bytes; size += 999) {
        buffer_consume(&b, buffer_size(&b));
        ck_assert_int_eq(buffer_append(&b, bytes, size), 0);
        ck_assert_ptr_eq(b.memory, memory);
        ck_assert_uint_eq(buffer_size(&b), size);
    }
    buffer_free(&b);
}
END_TEST

START_TEST(trim_frees_an_empty_buffer_only)
{
    struct buffer b = { 0 };
    buffer_trim(&b);
    ck_assert_int_eq(buffer_append(&b, "ab", 2), 0);
    buffer_consume(&b, 1);
    buffer_trim(&b);
    ck_assert_uint_eq(buffer_size(&b), 1);
    ck_assert_uint_eq(*buffer_bytes(&b), 'b');
    buffer_consume(&b, 1);
    buffer_trim(&b);
    ck_assert_ptr_null(b.memory);
    ck_assert_uint_eq(buffer_size(&b), 0);
}
END_TEST

START_TEST(one_byte_takes_little)
{
    struct buffer b = { 0 };
    ck_assert_int_eq(buffer_append(&b, "a", 1), 0);
    ck_assert_uint_le(b.capacity, 64);
    buffer_free(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("buffer");
    TCase *t = tcase_create("buffer");
    tcase_add_test(t, bytes_come_out_in_order);
    tcase_add_test(t, memory_is_kept_between_bytes);
    tcase_add_test(t, trim_frees_an_empty_buffer_only);
    tcase_add_test(t, one_byte_takes_little);
    suite_add_tcase(s, t);
    return suite_main(s);
}
