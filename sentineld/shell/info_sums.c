#include "sentineld/shell/info_sums.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

#define NUMBER_MAX INT32_MAX

/* Found or made; NULL: there are too many. Servers list their databases in order, so the place is mostly the end. */
static struct info_sums_database *database(struct info_sums *s, int64_t number)
{
    size_t at = s->n;
    while (at > 0 && s->databases[at - 1].number > number)
        at--;
    if (at > 0 && s->databases[at - 1].number == number)
        return &s->databases[at - 1];
    if (s->n >= INFO_SUMS_DATABASES_MAX)
        return NULL;
    s->databases = mem_grow(s->databases, s->n, &s->cap, sizeof *s->databases);
    memmove(&s->databases[at + 1], &s->databases[at], (s->n - at) * sizeof *s->databases);
    s->n++;
    s->databases[at] = (struct info_sums_database){.number = number};
    return &s->databases[at];
}

static void add_up(int64_t *sum, int64_t more)
{
    *sum = more > INT64_MAX - *sum ? INT64_MAX : *sum + more;
}

/* "keys=<n>,expires=<n>,avg_ttl=<ms>" */
static void add_database(struct info_sums *s, int64_t number, struct slice value)
{
    int64_t keys = -1, expires = 0;
    while (value.p != NULL) {
        struct slice part = slice_cut(&value, ','), name = slice_cut(&part, '=');
        if (slice_is(name, "keys") && !text_range(part, 0, INT64_MAX, &keys))
            return;
        if (slice_is(name, "expires") && !text_range(part, 0, INT64_MAX, &expires))
            return;
    }
    struct info_sums_database *d = keys < 0 ? NULL : database(s, number);
    if (d == NULL)
        return;
    add_up(&d->keys, keys);
    add_up(&d->expires, expires);
}

void info_sums_add(struct info_sums *s, struct slice info, int64_t age_us)
{
    s->servers++;
    if (age_us > s->stalest_us)
        s->stalest_us = age_us;
    while (info.n > 0) {
        struct slice value = slice_trim(slice_cut(&info, '\n'));
        struct slice name = slice_cut(&value, ':');
        int64_t number;
        if (value.p == NULL)
            continue;
        if (slice_is(name, "used_memory") && text_range(value, 0, INT64_MAX, &number))
            add_up(&s->memory, number);
        else if (name.n > 2 && memcmp(name.p, "db", 2) == 0 &&
                 text_range((struct slice){name.p + 2, name.n - 2}, 0, NUMBER_MAX, &number))
            add_database(s, number, value);
    }
}

void info_sums_free(struct info_sums *s)
{
    free(s->databases);
    *s = (struct info_sums){.stalest_us = -1};
}
