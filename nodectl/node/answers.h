/* What nodes answer: fields of INFO, and addresses. */
#ifndef NODECTL_NODE_ANSWERS_H
#define NODECTL_NODE_ANSWERS_H

#include "common/base/addr.h"

/* The value of "name:value" at the beginning of a line, cut to cap - 1 bytes. false: there is no such line, out is "".
 */
bool answer_field(const char *text, const char *name, char *out, size_t cap);
int64_t answer_number(const char *text, const char *name, int64_t absent);

/* The address as an IP literal, which CLUSTER MEET wants. false: it can't be found; why has the reason. */
bool answer_ip(const struct addr *a, int timeout_ms, char out[ADDR_HOST_MAX + 1], struct buf *why);

#endif
