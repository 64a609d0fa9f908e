#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "relay/pipe.h"
#include "suite.h"

static struct pipe_quota quota;
static struct pipe_stock stock;

static void open_stock(int64_t allowed, int size)
{
    atomic_init(&quota.left, allowed);
    pipe_stock_init(&stock, &quota, size);
}

START_TEST(the_pipe_used_last_is_lent_first)
{
    open_stock(8, 65536);
    struct pipe *a = pipe_get(&stock);
    struct pipe *b = pipe_get(&stock);
    pipe_put(&stock, a);
    pipe_put(&stock, b);
    ck_assert_ptr_eq(pipe_get(&stock), b);
    ck_assert_ptr_eq(pipe_get(&stock), a);
    pipe_put(&stock, a);
    pipe_put(&stock, b);
    pipe_stock_fini(&stock);
}
END_TEST

START_TEST(the_quota_is_never_exceeded_and_comes_back)
{
    open_stock(2, 65536);
    struct pipe *a = pipe_get(&stock);
    struct pipe *b = pipe_get(&stock);
    ck_assert_ptr_nonnull(a);
    ck_assert_ptr_nonnull(b);
    ck_assert_ptr_null(pipe_get(&stock));
    ck_assert_int_eq(errno, EAGAIN);
    pipe_discard(&stock, a);
    a = pipe_get(&stock);
    ck_assert_ptr_nonnull(a);
    pipe_put(&stock, a);
    pipe_put(&stock, b);
    pipe_stock_fini(&stock);
    ck_assert_int_eq(quota.left, 2);
}
END_TEST

static void fill_pipe(int in, size_t n)
{
    static const char bytes[8192];
    ck_assert_int_eq(write(in, bytes, n), (ssize_t)n);
}

/* The bytes that another process reports of a pipe are compared with those of the kernel. */
START_TEST(a_pipe_that_is_not_as_was_said_is_not_adopted)
{
    int a[2];
    int b[2];
    open_stock(8, 65536);
    ck_assert_int_eq(pipe2(a, O_NONBLOCK | O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(b, O_NONBLOCK | O_CLOEXEC), 0);
    fill_pipe(a[1], 5000);
    fill_pipe(b[1], 5000);
    ck_assert_ptr_null(pipe_adopt(&stock, a, 4999));
    ck_assert_ptr_null(pipe_adopt(&stock, a, 5001));
    ck_assert_ptr_null(pipe_adopt(&stock, a, 0));
    ck_assert_ptr_null(pipe_adopt(&stock, (int[]){ a[1], a[0] }, 5000)); /* the wrong way round */
    ck_assert_ptr_null(pipe_adopt(&stock, (int[]){ a[0], b[1] }, 5000)); /* of two */
    ck_assert_ptr_null(pipe_adopt(&stock, (int[]){ a[0], -1 }, 5000));
    ck_assert_int_eq(errno, EBADMSG);
    fcntl(b[0], F_SETFL, 0);
    ck_assert_ptr_null(pipe_adopt(&stock, b, 5000)); /* one that blocks */
    fcntl(a[1], F_SETPIPE_SZ, 131072);
    struct pipe *p = pipe_adopt(&stock, a, 5000);
    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq(p->size, 131072);
    ck_assert_uint_eq(p->slots, 32);
    ck_assert_uint_eq(p->held, 5000);
    pipe_discard(&stock, p);
    close(b[0]);
    close(b[1]);
    pipe_stock_fini(&stock);
    ck_assert_int_eq(quota.left, 8);
}
END_TEST

START_TEST(what_the_kernel_granted_is_read_back)
{
    open_stock(1, 100000);
    struct pipe *p = pipe_get(&stock);
    ck_assert_uint_eq(p->size, (uint32_t)fcntl(p->in, F_GETPIPE_SZ));
    ck_assert_uint_eq(p->slots, p->size / 4096);
    pipe_put(&stock, p);
    pipe_stock_fini(&stock);
}
END_TEST

START_TEST(a_size_the_kernel_refuses_still_gives_a_pipe)
{
    open_stock(1, 1 << 30);
    uid_t user = geteuid();
    if (user == 0)
        ck_assert_int_eq(seteuid(65534), 0);
    struct pipe *p = pipe_get(&stock);
    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq(p->size, (uint32_t)fcntl(p->in, F_GETPIPE_SZ));
    ck_assert_int_eq(seteuid(user), 0);
    pipe_put(&stock, p);
    pipe_stock_fini(&stock);
}
END_TEST

START_TEST(a_discarded_pipe_is_closed_with_its_bytes)
{
    open_stock(1, 65536);
    struct pipe *p = pipe_get(&stock);
    int in = p->in;
    ck_assert_int_eq(write(p->in, "secret", 6), 6);
    p->held = 6;
    pipe_discard(&stock, p);
    ck_assert_int_eq(fcntl(in, F_GETFD), -1);
    ck_assert_uint_eq(gauge_get(&stock.used_count), 0);
    pipe_stock_fini(&stock);
}
END_TEST

START_TEST(a_burst_does_not_keep_its_pipes_for_ever)
{
    struct pipe *p[200];
    open_stock(200, 4096);
    for (int i = 0; i < 200; i++)
        ck_assert_ptr_nonnull(p[i] = pipe_get(&stock));
    for (int i = 0; i < 200; i++)
        pipe_put(&stock, p[i]);
    ck_assert_uint_lt(gauge_get(&stock.idle_count), 200);
    ck_assert_uint_gt(gauge_get(&stock.idle_count), 0);
    ck_assert_int_eq(quota.left, 200 - (int64_t)gauge_get(&stock.idle_count));
    pipe_stock_fini(&stock);
    ck_assert_int_eq(quota.left, 200);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pipe");
    TCase *t = tcase_create("stock");
    tcase_add_test(t, the_pipe_used_last_is_lent_first);
    tcase_add_test(t, the_quota_is_never_exceeded_and_comes_back);
    tcase_add_test(t, what_the_kernel_granted_is_read_back);
    tcase_add_test(t, a_pipe_that_is_not_as_was_said_is_not_adopted);
    tcase_add_test(t, a_size_the_kernel_refuses_still_gives_a_pipe);
    tcase_add_test(t, a_discarded_pipe_is_closed_with_its_bytes);
    tcase_add_test(t, a_burst_does_not_keep_its_pipes_for_ever);
    suite_add_tcase(s, t);
    return suite_main(s);
}
