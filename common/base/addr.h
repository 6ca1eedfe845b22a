/* Where a process listens: a host (name or IP literal) and a TCP port. */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include "common/base/bytes.h"

#define ADDR_HOST_MAX 255 /* bytes, without the terminator */
#define ADDR_TEXT_MAX (ADDR_HOST_MAX + 9)

struct addr {
    char host[ADDR_HOST_MAX + 1]; /* no brackets around IPv6; "" means none */
    int port;                     /* 1-65535; 0 with an empty host */
};

/* "host:port", "[::1]:port", and "::1:port" (the last colon counts, as Redis has it). false: no colon, empty or too
 * long host, a byte in it that no host has, or a bad port. */
bool addr_parse(struct slice s, struct addr *out);
bool addr_set(struct addr *out, struct slice host, int64_t port); /* the same checks on parts */
bool addr_eq(const struct addr *a, const struct addr *b);         /* hosts without regard to case */
bool addr_is_ip(const char *host);                                /* IPv4 or IPv6 literal */
bool addr_is_set(const struct addr *a);
/* "host:port", IPv6 in brackets. Returns out. */
const char *addr_text(const struct addr *a, char out[ADDR_TEXT_MAX]);

#endif
