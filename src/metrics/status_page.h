/* The status page: one HTML document with all that it needs, whose tables are complete without
 * JavaScript; with it, they are kept up to date and the last minutes are plotted. Its source is in
 * page/. */
#ifndef ZPROXY_METRICS_STATUS_PAGE_H
#define ZPROXY_METRICS_STATUS_PAGE_H

#include <stdio.h>

#include "metrics/snapshot.h"
#include "metrics/stats_json.h"

#define STATUS_PAGE_TYPE   "text/html; charset=utf-8"
#define STATUS_PAGE_NONCE  33
#define STATUS_PAGE_POLICY 256

/* The Content-Security-Policy of one delivery: of script and style only what bears the nonce. */
void status_page_policy(char nonce[STATUS_PAGE_NONCE], char policy[STATUS_PAGE_POLICY]);

void status_page_print(const struct snapshot *s, const struct busiest *busiest, const char *nonce,
                       FILE *out);

#endif
