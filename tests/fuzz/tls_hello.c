#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "session/hello.h"
#include "tls/tls_server_context.h"
#include "tls/tls_stream.h"

const char fuzz_name[] = "tls_hello";

/* An input is what a client sends to a listener whose TLS ends here: the callbacks of a handshake
 * parse the name and the protocols. */

static char file[] = "/tmp/zproxy-fuzz.XXXXXX";

static void write_certificate(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    FILE *out = fdopen(mkstemp(file), "w");
    FUZZ_REQUIRE(key != NULL && x != NULL && out != NULL);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 1 << 30);
    X509_NAME *name = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"www.example.com",
                               -1, -1, 0);
    X509_set_issuer_name(x, name);
    X509_set_pubkey(x, key);
    FUZZ_REQUIRE(X509_sign(x, key, EVP_sha256()) > 0);
    FUZZ_REQUIRE(PEM_write_X509(out, x) == 1);
    FUZZ_REQUIRE(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1);
    FUZZ_REQUIRE(fclose(out) == 0);
    X509_free(x);
    EVP_PKEY_free(key);
}

static void on_problem(void *arg, const char *key, size_t item, const char *text)
{
    (void)arg;
    fprintf(stderr, "%s %zu: %s\n", key, item, text);
}

static const struct tls_server_context *context(void)
{
    static char *alpn[] = { (char *)"h2", (char *)"http/1.1" };
    static struct config_certificate certificate = { .file = file };
    static struct config_listen listen = {
        .name = (char *)"test",
        .tls = true,
        .tls_certificate = &certificate,
        .tls_certificate_count = 1,
        .tls_limits = { .min = CONFIG_TLS_1_2,
                        .max = CONFIG_TLS_1_3,
                        .alpn = alpn,
                        .alpn_count = 2 },
        .tls_tickets = true,
    };
    static const struct tls_problems problems = { on_problem, NULL };
    static struct tls_server_context *made;
    if (made == NULL) {
        write_certificate();
        FUZZ_REQUIRE(tls_server_context_new(&made, &listen, &problems) == 0);
        FUZZ_REQUIRE(unlink(file) == 0);
    }
    return made;
}

/* The same name as where the hello is only looked at. */
static void check_name(const uint8_t *bytes, size_t n, const char *name)
{
    struct hello h;
    size_t length = strlen(name);
    if (hello_parse(&h, bytes, n) != HELLO_DONE || h.name[0] == '\0' || length == 0)
        return;
    length -= name[length - 1] == '.';
    FUZZ_REQUIRE(strlen(h.name) == length && strncasecmp(h.name, name, length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    int fd[2];
    char answer[4096];
    FUZZ_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
    struct tls_stream *s = tls_server_context_accept(context(), fd[1]);
    FUZZ_REQUIRE(s != NULL);
    int rc = -EAGAIN;
    bool all = n == 0 || send(fd[0], bytes, n, 0) == (ssize_t)n;
    FUZZ_REQUIRE(shutdown(fd[0], SHUT_WR) == 0);
    for (int i = 0; i < 100 && rc == -EAGAIN; i++) {
        rc = tls_stream_handshake(s);
        while (recv(fd[0], answer, sizeof answer, 0) > 0)
            continue;
    }
    FUZZ_REQUIRE(rc == -EPROTO || rc == -ECONNABORTED || rc == -EPIPE || rc == -ECONNRESET);
    FUZZ_REQUIRE(rc != -EPROTO || tls_stream_why(s)[0] != '\0');
    if (all)
        check_name(bytes, n, tls_stream_server_name(s));
    tls_stream_free(s);
    close(fd[0]);
    close(fd[1]);
    return 0;
}
