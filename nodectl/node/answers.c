#include "nodectl/node/answers.h"

#include "common/base/text.h"
#include "nodectl/info.h"
#include "nodectl/lookup.h"

#include <stdio.h>
#include <string.h>

bool answer_field(const char *text, const char *name, char *out, size_t cap)
{
    struct slice value = info_field(slice_of(text), name);
    snprintf(out, cap, "%.*s", (int)value.n, value.n > 0 ? value.p : "");
    return value.p != NULL;
}

int64_t answer_number(const char *text, const char *name, int64_t absent)
{
    return info_number(slice_of(text), name, absent);
}

bool answer_ip(const struct addr *a, int timeout_ms, char out[ADDR_HOST_MAX + 1], struct buf *why)
{
    struct lookup l = {.host = a->host};
    if (addr_is_ip(a->host)) {
        memcpy(out, a->host, sizeof a->host);
        return true;
    }
    lookup_run(&l, 1, timeout_ms);
    if (l.n == 0) {
        buf_printf(why, "%s: %s", a->host, l.error);
        return false;
    }
    snprintf(out, ADDR_HOST_MAX + 1, "%s", l.ips[0]);
    return true;
}
