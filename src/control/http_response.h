/* An answer in the form that libmicrohttpd sends. A long text is made piece by piece while the
 * client reads: making it does not hold up the control thread, and a client that does not read
 * costs the memory of one piece. For the control thread. */
#ifndef ZPROXY_CONTROL_HTTP_RESPONSE_H
#define ZPROXY_CONTROL_HTTP_RESPONSE_H

#include <microhttpd.h>

#include "control/http.h"
#include "control/http_clients.h"

/* Takes ownership of the text and arg of the answer, also on failure. Returns NULL when out of
 * memory. client is the reader of the answer and must outlive the connection; NULL is allowed if
 * the text is short. */
struct MHD_Response *http_response_new(const struct http_answer *a, struct http_clients *clients,
                                       struct http_client *client);

/* Frees an answer that is not sent: its client has gone. */
void http_response_drop(const struct http_answer *a);

#endif
