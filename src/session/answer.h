/* Answers a client with a file: sends it by sendfile(2), then waits for the client's FIN.
 *
 * What the client sends meanwhile is read and dropped: close(2) with unread bytes would send a
 * reset, which could overtake the end of the answer (RFC 9293, 3.6.1; RFC 1122, 4.2.2.13). For the
 * worker's thread.
 */
#ifndef ZPROXY_SESSION_ANSWER_H
#define ZPROXY_SESSION_ANSWER_H

#include "session/session.h"

enum answer_result {
    ANSWER_WAIT,  /* nothing more can be done now, or the session has ended */
    ANSWER_AGAIN, /* enough for one wake-up: call again when others have had their turn */
};

/* Begins to send s->file, to which the session has a reference. Sets SESSION_ANSWERING. */
enum answer_result answer_begin(struct session *s);

/* Continues after an event of the client's socket, or after ANSWER_AGAIN. */
enum answer_result answer_process(struct session *s);

#endif
