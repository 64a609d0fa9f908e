#include "tls/tls_names.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- names ---- */

#define SHOWN_MAX 120 /* bytes of names in the reason of a refusal */

struct name_list {
    FILE *out;
    size_t count;
};

static void add_name(struct name_list *l, const char *name, size_t size)
{
    fputs(l->count++ == 0 ? "" : ", ", l->out);
    for (size_t i = 0; i < size; i++)
        fputc((unsigned char)name[i] < ' ' || name[i] == 0x7f ? '?' : name[i], l->out);
}

static void add_address(struct name_list *l, const ASN1_OCTET_STRING *address)
{
    char name[INET6_ADDRSTRLEN];
    int family = ASN1_STRING_length(address) == 4 ? AF_INET : AF_INET6;
    if ((family == AF_INET || ASN1_STRING_length(address) == 16) &&
        inet_ntop(family, ASN1_STRING_get0_data(address), name, sizeof name) != NULL)
        add_name(l, name, strlen(name));
}

static void add_alternatives(struct name_list *l, const GENERAL_NAMES *names)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS)
            add_name(l, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
                     (size_t)ASN1_STRING_length(name->d.dNSName));
        else if (name->type == GEN_IPADD)
            add_address(l, name->d.iPAddress);
    }
}

static void add_common_name(struct name_list *l, const X509_NAME *subject)
{
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    unsigned char *name = NULL;
    int n = at < 0
                ? -1
                : ASN1_STRING_to_UTF8(&name,
                                      X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (n > 0)
        add_name(l, (const char *)name, (size_t)n);
    OPENSSL_free(name);
}

char *tls_names_of(const struct x509_st *certificate)
{
    char *text = NULL;
    size_t size = 0;
    struct name_list l = { .out = open_memstream(&text, &size) };
    if (l.out == NULL)
        return NULL;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    add_alternatives(&l, names);
    GENERAL_NAMES_free(names);
    if (l.count == 0)
        add_common_name(&l, X509_get_subject_name(certificate));
    if (fclose(l.out) == 0)
        return text;
    free(text);
    return NULL;
}

/* ---- why a certificate was refused ---- */

/* Writes "certificate has expired (2026-01-31)". */
static void print_time(char text[TLS_ERROR_MAX], const char *what, const ASN1_TIME *at)
{
    struct tm tm = { .tm_year = 0 };
    char date[32] = "?";
    if (ASN1_TIME_to_tm(at, &tm) == 1)
        strftime(date, sizeof date, "%Y-%m-%d", &tm);
    snprintf(text, TLS_ERROR_MAX, "%s (%s)", what, date);
}

static void print_mismatch(char text[TLS_ERROR_MAX], X509_STORE_CTX *store, const X509 *certificate)
{
    char *names = tls_names_of(certificate);
    const char *shown = names == NULL || names[0] == '\0' ? "no name" : names;
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(store);
    const char *host = X509_VERIFY_PARAM_get0_host(param, 0);
    char *address = host == NULL ? X509_VERIFY_PARAM_get1_ip_asc(param) : NULL;
    snprintf(text, TLS_ERROR_MAX, "name does not match: expected %.64s, certificate is for %.*s%s",
             host != NULL      ? host
             : address != NULL ? address
                               : "another",
             SHOWN_MAX, shown, strlen(shown) > SHOWN_MAX ? "..." : "");
    OPENSSL_free(address);
    free(names);
}

const char *tls_names_why_refused(struct x509_store_ctx_st *store, char text[TLS_ERROR_MAX])
{
    const X509 *at = X509_STORE_CTX_get_current_cert(store);
    const X509 *leaf = X509_STORE_CTX_get0_cert(store);
    int error = X509_STORE_CTX_get_error(store);
    switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        print_mismatch(text, store, leaf);
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        print_time(text, at == leaf ? "certificate has expired" : "certificate of a CA has expired",
                   X509_get0_notAfter(at));
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        print_time(text, "certificate is not valid yet", X509_get0_notBefore(at));
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        snprintf(text, TLS_ERROR_MAX,
                 "certificate is of an unknown CA, or an intermediate "
                 "certificate is missing");
        break;
    default:
        snprintf(text, TLS_ERROR_MAX, "certificate refused: %s",
                 X509_verify_cert_error_string(error));
        break;
    }
    return text;
}
