#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "metrics/html.h"
#include "metrics/metrics.h"
#include "metrics/prometheus.h"
#include "metrics/stats_json.h"
#include "metrics/status_page.h"
#include "suite.h"

static char *text;
static size_t size;
static FILE *out;

static void begin(void)
{
    out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
}

static void end(const char *expected)
{
    fclose(out);
    ck_assert_str_eq(text, expected);
    free(text);
}

START_TEST(labels_are_escaped)
{
    begin();
    prometheus_label_value("a\"b\\c\nd\xff\xc3\xbc{}", out);
    end("a\\\"b\\\\c\\nd\xef\xbf\xbd\xc3\xbc{}");
}
END_TEST

START_TEST(buckets_of_a_histogram_are_cumulative_and_in_base_units)
{
    const struct histogram_scale scale = { .first = 1, .shift = 2 };
    struct histogram_totals h = { .sum = 0 };
    h.bucket[0] = 2;
    h.bucket[1] = 3;
    h.bucket[HISTOGRAM_BOUNDS] = 1;
    h.sum = 1500;
    out = open_memstream(&text, &size);
    prometheus_histogram("x", &h, &scale, 1000, out);
    fclose(out);
    ck_assert_ptr_nonnull(strstr(text, "x_bucket{le=\"0.001\"} 2\nx_bucket{le=\"0.004\"} 5\n"));
    ck_assert_ptr_nonnull(strstr(text, "x_bucket{le=\"1073741.824\"} 5\n"
                                       "x_bucket{le=\"+Inf\"} 6\nx_sum 1.5\nx_count 6\n"));
    free(text);
}
END_TEST

START_TEST(html_text_escapes_markup)
{
    begin();
    html_text(out, "<script>&\"'\xfe\xe2\x80\x93");
    end("&lt;script&gt;&amp;&quot;&#39;\xef\xbf\xbd\xe2\x80\x93");
}
END_TEST

START_TEST(each_response_with_the_page_has_its_own_nonce)
{
    char nonce[2][STATUS_PAGE_NONCE];
    char policy[2][STATUS_PAGE_POLICY];
    for (int i = 0; i < 2; i++) {
        status_page_policy(nonce[i], policy[i]);
        ck_assert_uint_eq(strlen(nonce[i]), STATUS_PAGE_NONCE - 1);
        ck_assert_ptr_nonnull(strstr(policy[i], nonce[i]));
        ck_assert_ptr_nonnull(strstr(policy[i], "frame-ancestors 'none'")); /* it was not cut */
    }
    ck_assert_str_ne(nonce[0], nonce[1]);
}
END_TEST

START_TEST(json_commas_stand_only_between_values)
{
    begin();
    struct json_writer w = { .out = out };
    json_begin_object(&w, NULL);
    json_begin_array(&w, "a");
    json_end_array(&w);
    json_begin_array(&w, "b");
    json_add_uint(&w, NULL, 1);
    json_add_double(&w, NULL, 2.5);
    json_begin_object(&w, NULL);
    json_add_bool(&w, "c", true);
    json_add_string(&w, "d", "\"");
    json_end_object(&w);
    json_end_array(&w);
    json_add_limit(&w, "e", 0);
    json_add_limit(&w, "f", 7);
    json_end_object(&w);
    end("{\"a\":[],\"b\":[1,2.5,{\"c\":true,\"d\":\"\\\"\"}],\"e\":null,\"f\":7}");
}
END_TEST

/* A process with one pool of one server. Each counter of it has a value of its own. */
static struct snapshot one_server(struct snapshot_pool *pool, struct snapshot_server *server)
{
    *server = (struct snapshot_server){
        .pool = "p", .name = "s", .address = "a", .tls = true, .view = { .status = "up", .why = "" }
    };
    *pool = (struct snapshot_pool){
        .name = "p", .balance = "first", .server = server, .server_count = 1
    };
    struct snapshot s = {
        .pool = pool, .pool_count = 1, .server = server, .server_count = 1, .node = "edge1"
    };
    for (uint64_t i = 0; i < SERVER_COUNTERS; i++)
        server->counter[i] = 100 + i;
    for (uint64_t i = 0; i < SESSION_HISTOGRAMS; i++)
        s.totals.histogram[i].sum = 1000 * (200 + i);
    return s;
}

static void expect_value(const char *before, uint64_t value, const char *after)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "%s%" PRIu64 "%s", before, value, after);
    ck_assert_msg(strstr(text, wanted) != NULL, "%s", wanted);
}

START_TEST(each_counter_and_histogram_is_a_metric)
{
    struct snapshot_pool pool;
    struct snapshot_server server;
    struct snapshot s = one_server(&pool, &server);
    struct metrics m = { .s = &s };
    begin();
    while (metrics_next(&m, out))
        ;
    fclose(out);
    for (uint64_t i = 0; i < SERVER_COUNTERS; i++)
        expect_value(i < SERVER_TLS_FULL ? "address=\"a\"} " : "\"} ", 100 + i, "\n");
    for (uint64_t i = 0; i < SESSION_HISTOGRAMS; i++)
        expect_value("_sum ", 200 + i, ""); /* seconds; followed by 000 for bytes */
    free(text);
}
END_TEST

START_TEST(each_counter_and_histogram_is_in_json)
{
    struct snapshot_pool pool;
    struct snapshot_server server;
    struct snapshot s = one_server(&pool, &server);
    struct busiest busiest = { .count = 0 };
    struct history history;
    history_init(&history);
    struct stats_json j = { .s = &s, .busiest = &busiest, .history = &history };
    begin();
    while (stats_json_next(&j, out))
        ;
    fclose(out);
    for (uint64_t i = 0; i < SERVER_COUNTERS; i++)
        expect_value("\":", 100 + i, i == SERVER_COUNTERS - 1 ? "}" : ",");
    for (uint64_t i = 0; i < SESSION_HISTOGRAMS; i++)
        expect_value("\"sum\":", 1000 * (200 + i), "}");
    free(text);
    history_fini(&history);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("metrics");
    TCase *t = tcase_create("metrics");
    tcase_add_test(t, labels_are_escaped);
    tcase_add_test(t, buckets_of_a_histogram_are_cumulative_and_in_base_units);
    tcase_add_test(t, html_text_escapes_markup);
    tcase_add_test(t, each_response_with_the_page_has_its_own_nonce);
    tcase_add_test(t, json_commas_stand_only_between_values);
    tcase_add_test(t, each_counter_and_histogram_is_a_metric);
    tcase_add_test(t, each_counter_and_histogram_is_in_json);
    suite_add_tcase(s, t);
    return suite_main(s);
}
