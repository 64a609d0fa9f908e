/* An answer as libmicrohttpd sends it. A long text is made piece by piece while the client reads
 * it: making it does not keep the control thread from other work, and a client that does not read
 * costs no more than a piece. */
#ifndef ZPROXY_CONTROL_HTTP_RESPONSE_H
#define ZPROXY_CONTROL_HTTP_RESPONSE_H

#include <microhttpd.h>

#include "control/http.h"
#include "control/http_clients.h"

/* Takes over what a has, also on failure: NULL when out of memory. client: who reads a long text;
 * it outlives the connection. */
struct MHD_Response *http_response_new(const struct http_answer *a, struct http_clients *clients,
                                       struct http_client *client);

/* The answer has no reader. */
void http_response_drop(const struct http_answer *a);

#endif
