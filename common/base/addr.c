#include "common/base/addr.h"

#include "common/base/text.h"

#include <stdio.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Four numbers of 0-255 without leading zeros (which some resolvers read as octal). */
static bool is_ipv4(struct slice s)
{
    size_t at = 0;
    for (int part = 0; part < 4; part++) {
        if (part > 0 && (at == s.n || s.p[at++] != '.'))
            return false;
        size_t first = at;
        int v = 0;
        for (; at < s.n && at < first + 3 && is_digit(s.p[at]); at++)
            v = v * 10 + (s.p[at] - '0');
        if (at == first || v > 255 || (s.p[first] == '0' && at > first + 1))
            return false;
    }
    return at == s.n;
}

/* RFC 4291 section 2.2, with an optional zone of RFC 4007 section 11. */
static bool is_ipv6(struct slice s)
{
    struct slice address = slice_cut(&s, '%');
    if (s.p != NULL) {
        if (s.n == 0)
            return false;
        for (size_t i = 0; i < s.n; i++)
            if (!is_alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_' && s.p[i] != '.')
                return false;
    }
    int groups = 0; /* of 16 bits */
    bool gap = false;
    const char *p = address.p, *end = address.p + address.n;
    if (address.n < 2 || (p[0] == ':' && p[1] != ':'))
        return false;
    while (p < end) {
        if (*p == ':') { /* a second colon in a row: the first ended the group before, or it is the start */
            if (gap)
                return false;
            gap = true;
            p += groups == 0 ? 2 : 1; /* at the start "::" is whole, later its first colon is read already */
            continue;
        }
        const char *start = p;
        while (p < end && is_hex(*p))
            p++;
        if (p < end && *p == '.') {
            groups += 2;
            return is_ipv4((struct slice){start, (size_t)(end - start)}) && (gap ? groups <= 7 : groups == 8);
        }
        if (p == start || p - start > 4)
            return false;
        groups++;
        if (p < end && (*p++ != ':' || p == end))
            return false;
    }
    return gap ? groups <= 7 : groups == 8;
}

bool addr_is_ip(const char *host)
{
    struct slice s = slice_of(host);
    return s.n > 0 && (is_ipv4(s) || is_ipv6(s));
}

bool addr_set(struct addr *out, struct slice host, int64_t port)
{
    if (host.n == 0 || host.n > ADDR_HOST_MAX || port < 1 || port > 65535)
        return false;
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        if (c == ':') {
            if (!is_ipv6(host))
                return false;
            break;
        }
        if (!is_alnum(c) && c != '.' && c != '-' && c != '_')
            return false;
    }
    /* host may lie in *out. */
    memmove(out->host, host.p, host.n);
    memset(out->host + host.n, 0, sizeof out->host - host.n);
    out->port = (int)port;
    return true;
}

bool addr_parse(struct slice s, struct addr *out)
{
    size_t colon = s.n;
    while (colon > 0 && s.p[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    struct slice host = {s.p, colon - 1};
    struct slice port_text = {s.p + colon, s.n - colon};
    int64_t port;
    if (!text_range(port_text, 1, 65535, &port))
        return false;
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
        host.p++;
        host.n -= 2;
        if (!is_ipv6(host))
            return false;
    }
    return addr_set(out, host, port);
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    return a->port == b->port && slice_ieq(slice_of(a->host), b->host);
}

bool addr_is_set(const struct addr *a)
{
    return a->host[0] != '\0';
}

const char *addr_text(const struct addr *a, char out[ADDR_TEXT_MAX])
{
    bool v6 = strchr(a->host, ':') != NULL;
    snprintf(out, ADDR_TEXT_MAX, v6 ? "[%s]:%d" : "%s:%d", a->host, a->port);
    return out;
}
