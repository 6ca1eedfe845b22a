/* Lists of supervisors, speakers and grants, as requests write them. */
#include "noded/cluster/supervision.h"

#include "common/base/text.h"

#include <string.h>

static bool is_address(struct slice s)
{
    static const char signs[] = ".:-_[]%";
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        bool fits = (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                    memchr(signs, ch, sizeof signs - 1) != NULL;
        if (!fits)
            return false;
    }
    return s.n > 0;
}

struct slice cl_list_at(struct slice list, int position)
{
    struct slice address = slice_cut(&list, ',');
    for (; position > 0; position--)
        address = slice_cut(&list, ',');
    return address;
}

int cl_list_find(struct slice list, struct slice address)
{
    for (int i = 0; list.p != NULL; i++)
        if (slice_eq(slice_cut(&list, ','), address))
            return i;
    return -1;
}

bool cl_list_is_good(struct slice list, int *n)
{
    struct slice rest = list;
    if (list.n == 0 || list.n > CL_SUPERVISORS_TEXT)
        return false;
    for (*n = 0; rest.p != NULL; ++*n) {
        struct slice address = slice_cut(&rest, ',');
        /* Two places of one supervisor would be two votes. */
        if (*n == CL_SUPERVISORS_MAX || !is_address(address) || cl_list_find(list, address) != *n)
            return false;
    }
    return true;
}

bool cl_speaker_parse(struct slice text, struct cl_speaker *out)
{
    struct slice version = slice_cut(&text, ':'), position = slice_cut(&text, ':');
    int64_t v, p;
    int n;
    if (!text_range(version, 1, INT64_MAX, &v) || !text_range(position, 0, INT32_MAX, &p) || text.p == NULL ||
        !cl_list_is_good(text, &n))
        return false;
    *out = (struct cl_speaker){.version = (uint64_t)v, .position = (int)p, .list = text};
    return true;
}

bool cl_stamp_parse(struct slice incarnation, struct slice clock, struct cl_stamp *out)
{
    struct cl_stamp t;
    if (!text_hex_u64(incarnation, &t.incarnation) || !text_range(clock, 0, INT64_MAX, &t.clock_us))
        return false;
    *out = t;
    return true;
}

bool cl_grant_parse(struct slice text, struct cl_grant *out)
{
    int64_t position;
    struct cl_grant g;
    struct slice place = slice_cut(&text, '/'), incarnation = slice_cut(&text, '/'), clock = slice_cut(&text, '/');
    if (!text_range(place, 0, INT32_MAX, &position) || !cl_stamp_parse(incarnation, clock, &g.stamp) ||
        !text_range(slice_cut(&text, '/'), 0, CL_LEASE_MS_MAX, &g.ttl_ms) ||
        !text_range(text, 0, CL_LEASE_MS_MAX, &g.wait_ms))
        return false;
    g.position = (int)position;
    *out = g;
    return true;
}
