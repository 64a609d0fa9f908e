#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balance/http_status.h"
#include "suite.h"

static const struct {
    const char *line;
    int status;
} lines[] = {
    { "HTTP/1.1 200 OK\r\n", 200 }, { "HTTP/1.0 200\r\n", 200 },
    { "HTTP/1.0 204\n", 204 },      { "HTTP/1.1 503 Service Unavailable\r\n", 503 },
    { "HTTP/1.1 599 ", 599 },       { "HTTP/1.1 101 Switching Protocols\r\n", 101 },
};

static const struct {
    const char *before; /* of the final answer */
    int status;
} interim[] = {
    { "HTTP/1.1 100 Continue\r\n\r\n", 200 },
    { "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n", 503 },
    { "HTTP/1.1 102\n\nHTTP/1.1 100 \r\nServer: x\r\n\r\n", 404 },
};

static const struct {
    const char *line;
    size_t told; /* bytes that are needed for the result */
} others[] = {
    { "220 mail.example ESMTP\r\n", 1 }, { "HTTX", 4 },
    { "http/1.1 200 OK\r\n", 1 },        { "HTTP/2.0 200 OK\r\n", 6 },
    { "HTTP/1.1  200 OK\r\n", 10 },      { "HTTP/1.1 600 Strange\r\n", 10 },
    { "HTTP/1.1 020 Strange\r\n", 10 },  { "HTTP/1.1 20 OK\r\n", 12 },
    { "HTTP/1.1 2000 OK\r\n", 13 },      { "HTTP/1.1 2x0 OK\r\n", 11 },
    { "\r\nHTTP/1.1 200 OK\r\n", 1 },
};

/* In a separate allocation, so that a sanitizer finds a read beyond its end. */
static int status_of(const char *line, size_t len)
{
    char *copy = malloc(len + 1);
    memcpy(copy + 1, line, len);
    int status = http_status(copy + 1, len);
    free(copy);
    return status;
}

START_TEST(the_status_needs_the_byte_after_it)
{
    const char *line = lines[_i].line;
    for (size_t len = 0; len <= strlen(line); len++)
        ck_assert_int_eq(status_of(line, len), len < 13 ? 0 : lines[_i].status);
}
END_TEST

START_TEST(interim_answers_are_skipped)
{
    char text[256];
    size_t last = strlen(interim[_i].before) + strlen("HTTP/1.1 200");
    snprintf(text, sizeof text, "%sHTTP/1.1 %d OK\r\n", interim[_i].before, interim[_i].status);
    for (size_t len = 0; len <= strlen(text); len++)
        ck_assert_int_eq(status_of(text, len), len <= last ? 0 : interim[_i].status);
}
END_TEST

START_TEST(after_an_interim_answer_other_bytes_are_not_http)
{
    const char *line = "HTTP/1.1 100 Continue\r\n\r\n220 mail";
    ck_assert_int_eq(status_of(line, strlen(line)), -EPROTO);
}
END_TEST

START_TEST(the_first_wrong_byte_is_not_http)
{
    const char *line = others[_i].line;
    for (size_t len = 0; len <= strlen(line); len++)
        ck_assert_int_eq(status_of(line, len), len < others[_i].told ? 0 : -EPROTO);
}
END_TEST

START_TEST(nul_bytes_are_not_http)
{
    ck_assert_int_eq(status_of("\0\0\0", 3), -EPROTO);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("http_status");
    TCase *t = tcase_create("http_status");
    tcase_add_loop_test(t, the_status_needs_the_byte_after_it, 0, sizeof lines / sizeof *lines);
    tcase_add_loop_test(t, the_first_wrong_byte_is_not_http, 0, sizeof others / sizeof *others);
    tcase_add_loop_test(t, interim_answers_are_skipped, 0, sizeof interim / sizeof *interim);
    tcase_add_test(t, after_an_interim_answer_other_bytes_are_not_http);
    tcase_add_test(t, nul_bytes_are_not_http);
    suite_add_tcase(s, t);
    return suite_main(s);
}
