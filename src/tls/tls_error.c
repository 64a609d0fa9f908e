#include "tls/tls_error.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
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

const char *tls_error_alert(int alert, char buf[TLS_ERROR_MAX])
{
    snprintf(buf, TLS_ERROR_MAX, "the peer sent the alert: %s", alert_text(alert));
    return buf;
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

/* The first error of TLS itself says more than those of a cipher or a parser before it. Empties the
 * queue. */
static unsigned long take_error(void)
{
    unsigned long first = ERR_get_error();
    unsigned long error = first;
    while (error != 0 && ERR_GET_LIB(error) != ERR_LIB_SSL)
        error = ERR_get_error();
    ERR_clear_error();
    return error != 0 ? error : first;
}

const char *tls_error_take(char buf[TLS_ERROR_MAX])
{
    unsigned long error = take_error();
    int reason = ERR_GET_REASON(error);
    if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason >= ALERT_REASONS &&
        reason < ALERT_REASONS + 256)
        return tls_error_alert(reason - ALERT_REASONS, buf);
    const char *text = error == 0 ? NULL : find_reason(error);
    if (text != NULL)
        snprintf(buf, TLS_ERROR_MAX, "%s", text);
    else
        snprintf(buf, TLS_ERROR_MAX, "error %lx of OpenSSL", error);
    return buf;
}
