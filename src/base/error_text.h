/* An errno as words within a sentence. */
#ifndef ZPROXY_BASE_ERROR_TEXT_H
#define ZPROXY_BASE_ERROR_TEXT_H

#define ERROR_TEXT_MAX 64

/* strerror(3) that begins with a small letter: "connection refused". error is positive. Returns
 * buf. */
const char *error_text(int error, char buf[ERROR_TEXT_MAX]);

#endif
