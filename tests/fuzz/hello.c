#include <string.h>

#include "fuzz.h"
#include "session/hello.h"

const char fuzz_name[] = "hello";

static void check_protocols(const struct hello *h)
{
    size_t at = 0;
    FUZZ_REQUIRE(h->alpn_size <= HELLO_ALPN_MAX);
    while (at < h->alpn_size) {
        FUZZ_REQUIRE(h->alpn[at] > 0);
        at += 1 + (size_t)h->alpn[at];
    }
    FUZZ_REQUIRE(at == h->alpn_size);
}

static void check_same(const struct hello *a, const struct hello *b)
{
    FUZZ_REQUIRE(strcmp(a->name, b->name) == 0);
    FUZZ_REQUIRE(a->alpn_size == b->alpn_size);
    FUZZ_REQUIRE(memcmp(a->alpn, b->alpn, a->alpn_size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct hello whole;
    struct hello part;
    const enum hello_result rc = hello_parse(&whole, bytes, n);
    FUZZ_REQUIRE(rc != HELLO_MORE || n < HELLO_STREAM_MAX);
    if (rc == HELLO_DONE) {
        FUZZ_REQUIRE(whole.name[0] == '\0' || hostname_is_valid(whole.name, strlen(whole.name)));
        check_protocols(&whole);
    }
    for (size_t k = 0; k<n; k += n> 1000 ? 97 : 1) {
        const enum hello_result early = hello_parse(&part, bytes, k);
        FUZZ_REQUIRE(early == HELLO_MORE || early == rc);
        if (early == HELLO_DONE)
            check_same(&part, &whole);
    }
    return 0;
}
