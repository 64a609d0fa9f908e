/* What comes before a session may look for its server: the PROXY header of a proxy in front, the
 * hello of a TLS client.
 *
 * The header is read as far as it goes and not one byte further; the hello is only looked at
 * (MSG_PEEK) and relayed as it came. While something is missing the client's next event is awaited:
 * the poller is edge-triggered, so what lies there unread does not wake anybody up.
 */
#ifndef ZPROXY_SESSION_GREET_H
#define ZPROXY_SESSION_GREET_H

#include "session/session.h"

enum greet_result {
    GREET_WAITS,
    GREET_DONE, /* the session's pool and client are known: it may connect */
    GREET_ENDED,
};

/* Whether there is anything to wait for. */
bool greet_is_wanted(const struct service *service);

/* In SESSION_GREETING from here on, unless all is there already. */
enum greet_result greet_begin(struct session *s);

/* In SESSION_GREETING: the client has said something; wait_until is past. */
enum greet_result greet_turn(struct session *s);
enum greet_result greet_expire(struct session *s);

#endif
