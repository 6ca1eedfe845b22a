#include "common/io/link_message.h"

#include <string.h>

#define LENGTH_DIGITS_MAX 4 /* nothing longer is whole in one reading */

/* Passes over the text if it stands there. */
static bool pass(struct slice *rest, const char *text, size_t n)
{
    if (rest->n < n || memcmp(rest->p, text, n) != 0)
        return false;
    rest->p += n;
    rest->n -= n;
    return true;
}

#define PASS(rest, text) pass(rest, text, sizeof(text) - 1)

/* "$5\r\nhello\r\n" */
static bool cut_bulk(struct slice *rest, struct slice *out)
{
    size_t length = 0, digits = 0;
    if (!PASS(rest, "$"))
        return false;
    while (digits < rest->n && digits < LENGTH_DIGITS_MAX && rest->p[digits] >= '0' && rest->p[digits] <= '9')
        length = length * 10 + (size_t)(rest->p[digits++] - '0');
    if (digits == 0)
        return false;
    rest->p += digits;
    rest->n -= digits;
    if (!PASS(rest, "\r\n") || rest->n < length)
        return false;
    *out = (struct slice){rest->p, length};
    rest->p += length;
    rest->n -= length;
    return PASS(rest, "\r\n");
}

bool link_message_cut(const struct link_guard *g, struct slice *rest, struct slice *channel, struct slice *payload)
{
    struct slice s = *rest;
    if (!PASS(&s, "*3\r\n$7\r\nmessage\r\n") || !cut_bulk(&s, channel) || !cut_bulk(&s, payload) ||
        !link_guard_has_channel(g, *channel))
        return false;
    *rest = s;
    return true;
}
