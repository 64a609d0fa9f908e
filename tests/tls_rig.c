#include "tls_rig.h"

#include <check.h>
#include <errno.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <unistd.h>

#include "tls/tls_keys.h"

void tls_rig_use_certificate(SSL_CTX *ctx)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME *name = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(x, name);
    X509_set_pubkey(x, key);
    ck_assert_int_gt(X509_sign(x, key, EVP_sha256()), 0);
    ck_assert_int_eq(SSL_CTX_use_certificate(ctx, x), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, key), 1);
    X509_free(x);
    EVP_PKEY_free(key);
}

SSL_CTX *tls_rig_context(bool server, int version)
{
    SSL_CTX *ctx = tls_keys_context(server ? TLS_server_method() : TLS_client_method());
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    if (server)
        tls_rig_use_certificate(ctx);
    return ctx;
}

/* Over TCP a message may take a while. */
void tls_rig_handshake(struct tls_stream *client, struct tls_stream *server)
{
    int of_client = -EAGAIN, of_server = -EAGAIN;
    for (int i = 0; i < 20000 && (of_client == -EAGAIN || of_server == -EAGAIN); i++) {
        if (of_client == -EAGAIN)
            of_client = tls_stream_handshake(client);
        if (of_server == -EAGAIN)
            of_server = tls_stream_handshake(server);
        if (i > 10)
            usleep(1000);
    }
    ck_assert_int_eq(of_client, 0);
    ck_assert_int_eq(of_server, 0);
}
