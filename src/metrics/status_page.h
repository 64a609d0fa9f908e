/* The status page: one self-contained HTML document. Its tables are complete without JavaScript;
 * its script updates them and plots the last minutes. The sources are in page/: status.html, whose
 * {{placeholders}} are replaced, style.css and script.js. For the control thread. */
#ifndef ZPROXY_METRICS_STATUS_PAGE_H
#define ZPROXY_METRICS_STATUS_PAGE_H

#include <stdio.h>

#include "metrics/snapshot.h"
#include "metrics/stats_json.h"

#define STATUS_PAGE_TYPE   "text/html; charset=utf-8"
#define STATUS_PAGE_NONCE  33
#define STATUS_PAGE_POLICY 256

/* Makes the nonce and the Content-Security-Policy of one response: the browser runs only the
 * script, and applies only the style, that carries the nonce. */
void status_page_policy(char nonce[STATUS_PAGE_NONCE], char policy[STATUS_PAGE_POLICY]);

/* Writes the page to out. */
void status_page_print(const struct snapshot *s, const struct busiest *busiest, const char *nonce,
                       FILE *out);

#endif
