#include <string.h>

#include "base/proxy_header.h"
#include "fuzz.h"

const char fuzz_name[] = "proxy_header";

static void check_same_peer(const struct addr_peer *a, const struct addr_peer *b)
{
    char text[2][ADDR_TEXT_MAX];
    FUZZ_REQUIRE(strcmp(addr_peer_print(a, text[0]), addr_peer_print(b, text[1])) == 0);
}

static void check_same(const struct proxy_header *a, const struct proxy_header *b)
{
    FUZZ_REQUIRE(a->has_addresses == b->has_addresses);
    check_same_peer(&a->source, &b->source);
    check_same_peer(&a->destination, &b->destination);
}

/* What was read can be said to a server, who reads the same. */
static void check_written(const struct proxy_header *h, enum proxy_header_version v)
{
    unsigned char buf[PROXY_HEADER_WRITE_MAX];
    struct proxy_header again;
    const size_t n = proxy_header_write(buf, v, &h->source, &h->destination);
    FUZZ_REQUIRE(n <= sizeof buf);
    FUZZ_REQUIRE(proxy_header_parse(&again, buf, n) == PROXY_HEADER_DONE);
    FUZZ_REQUIRE(again.length == n);
    if (v == PROXY_HEADER_V2 || h->source.sa.sa_family != AF_UNIX)
        check_same(h, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct proxy_header whole;
    struct proxy_header part;
    const enum proxy_header_result rc = proxy_header_parse(&whole, bytes, n);
    FUZZ_REQUIRE(rc != PROXY_HEADER_MORE || n < PROXY_HEADER_MAX);
    FUZZ_REQUIRE((rc == PROXY_HEADER_INVALID) == (whole.why != NULL));
    FUZZ_REQUIRE(rc != PROXY_HEADER_DONE || (whole.length > 0 && whole.length <= n));
    if (rc == PROXY_HEADER_DONE && whole.has_addresses) {
        check_written(&whole, PROXY_HEADER_V1);
        check_written(&whole, PROXY_HEADER_V2);
    }
    for (size_t k = 0; k<n; k += n> 1000 ? 53 : 1) {
        const enum proxy_header_result early = proxy_header_parse(&part, bytes, k);
        FUZZ_REQUIRE(early == PROXY_HEADER_MORE || early == rc);
        if (early != PROXY_HEADER_DONE)
            continue;
        FUZZ_REQUIRE(part.length == whole.length);
        check_same(&part, &whole);
    }
    return 0;
}
