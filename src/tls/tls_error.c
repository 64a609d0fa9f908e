#include "tls/tls_error.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>

/* The reason of an alert that was received is this plus the number of the alert. */
#define ALERT_REASONS 1000

static const struct reason {
    int number;
    const char *text;
} reasons[] = {
    { SSL_R_WRONG_VERSION_NUMBER, "the peer does not speak TLS" },
    { SSL_R_HTTP_REQUEST, "the peer speaks HTTP without TLS" },
    { SSL_R_UNSUPPORTED_PROTOCOL, "no version of TLS in common" },
    { SSL_R_NO_SHARED_CIPHER, "no cipher in common" },
    { SSL_R_UNEXPECTED_EOF_WHILE_READING, "the peer closed the connection" },
    { SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, "a record was tampered with" },
    { SSL_R_NO_APPLICATION_PROTOCOL, "no protocol of ALPN in common" },
};

/* OpenSSL 3.0 has no text for the newer ones. */
static const char *alert_text(int alert)
{
    return alert == 116   ? "certificate required" /* RFC 8446, section 6 */
           : alert == 120 ? "no application protocol"
                          : SSL_alert_desc_string_long(alert);
}

static const char *print_alert(int alert, char buf[TLS_ERROR_MAX])
{
    snprintf(buf, TLS_ERROR_MAX, "the peer sent the alert: %s", alert_text(alert));
    return buf;
}

const char *tls_error_control(const struct tls_control_reader *r, char buf[TLS_ERROR_MAX])
{
    return r->event == TLS_CONTROL_FATAL   ? print_alert(r->alert, buf)
           : r->event == TLS_CONTROL_FLOOD ? "too many messages without data"
                                           : "unexpected message";
}

static const char *find_reason(unsigned long error)
{
    if (ERR_GET_LIB(error) != ERR_LIB_SSL)
        return ERR_reason_error_string(error);
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].number == ERR_GET_REASON(error))
            return reasons[i].text;
    return ERR_reason_error_string(error);
}

static const char *print_error(unsigned long error, char buf[TLS_ERROR_MAX])
{
    int reason = ERR_GET_REASON(error);
    if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason >= ALERT_REASONS &&
        reason < ALERT_REASONS + 256)
        return print_alert(reason - ALERT_REASONS, buf);
    const char *text = error == 0 ? NULL : find_reason(error);
    if (text != NULL)
        snprintf(buf, TLS_ERROR_MAX, "%s", text);
    else
        snprintf(buf, TLS_ERROR_MAX, "error %lx of OpenSSL", error);
    return buf;
}

/* The first error of TLS itself says more than those of a cipher or a parser before it. Empties the
 * queue. *memory: OpenSSL itself has failed, which is for want of memory: it says "malloc failure",
 * only "internal error", or has no error, since there was no memory for it. */
static unsigned long take_error(bool *memory)
{
    unsigned long first = 0, of_tls = 0, error;
    while ((error = ERR_get_error()) != 0) {
        *memory |= ERR_FATAL_ERROR(error) != 0;
        first = first == 0 ? error : first;
        of_tls = of_tls == 0 && ERR_GET_LIB(error) == ERR_LIB_SSL ? error : of_tls;
    }
    *memory |= first == 0;
    return of_tls != 0 ? of_tls : first;
}

int tls_error_take_number(char buf[TLS_ERROR_MAX])
{
    bool memory = false;
    unsigned long error = take_error(&memory);
    print_error(error, buf);
    if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
        ERR_GET_REASON(error) == SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC)
        return EBADMSG;
    return memory ? ENOMEM : EPROTO;
}

const char *tls_error_take(char buf[TLS_ERROR_MAX])
{
    bool memory = false;
    return print_error(take_error(&memory), buf);
}

const char *tls_library_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION_STRING);
}
