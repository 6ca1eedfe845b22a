#include "nodectl/drill/book.h"

#include "common/base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void lane_init(struct lane *l, const char *key, int database, bool bystander, int64_t now_us)
{
    *l = (struct lane){.database = database, .bystander = bystander, .heard_us = now_us, .settled_rows = -1};
    l->key = mem_strdup(key);
}

void lane_free(struct lane *l)
{
    free(l->key);
    free(l->acked);
    *l = (struct lane){0};
}

int64_t lane_send(struct lane *l)
{
    return ++l->sent;
}

static void note_silence(struct lane *l, enum drill_phase now, int64_t now_us)
{
    if (now_us - l->heard_us <= l->silence_us[now])
        return;
    l->silence_us[now] = now_us - l->heard_us;
    l->silent_from_us[now] = l->heard_us;
}

void lane_ack(struct lane *l, int64_t number, enum drill_phase now, int64_t now_us)
{
    assert(l->nacked == 0 || number > l->acked[l->nacked - 1].number);
    note_silence(l, now, now_us);
    l->heard_us = now_us;
    l->acked = mem_grow(l->acked, l->nacked, &l->cap_acked, sizeof *l->acked);
    l->acked[l->nacked++] = (struct lane_ack){number, now_us};
}

int64_t lane_silence_us(const struct lane *l, enum drill_phase now, int64_t now_us)
{
    int64_t lasting = now_us - l->heard_us;
    return lasting > l->silence_us[now] ? lasting : l->silence_us[now];
}

void lane_close(struct lane *l, enum drill_phase now, int64_t now_us)
{
    note_silence(l, now, now_us);
    l->heard_us = now_us;
}

void lane_turn(struct lane *l, enum drill_phase before, int64_t now_us)
{
    note_silence(l, before, now_us);
}

/* How many of the acknowledged ones were so before that time (by_time), or have a number up to that one. */
static size_t count_up_to(const struct lane *l, int64_t limit, bool by_time)
{
    size_t low = 0, high = l->nacked;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int64_t value = by_time ? l->acked[middle].at_us : l->acked[middle].number;
        if (value <= limit)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t lane_read(struct lane *l, int64_t number, int64_t sent_us, int64_t bound_us)
{
    size_t owed = count_up_to(l, sent_us - bound_us, true), given = count_up_to(l, number, false);
    l->reads++;
    l->seen = number;
    if (given >= owed)
        return 0;
    int64_t age_us = sent_us - l->acked[given].at_us;
    l->stale++;
    if (age_us > l->stale_us)
        l->stale_us = age_us;
    return age_us;
}

static int by_value(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

void lane_settle(struct lane *l, const int64_t *numbers, size_t count)
{
    int64_t *sorted = mem_array(NULL, count + 1, sizeof *sorted);
    if (count > 0)
        memcpy(sorted, numbers, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_value);
    l->lost = l->first_lost = 0;
    l->settled_rows = (int64_t)count;
    for (size_t i = 0, k = 0; i < l->nacked; i++) {
        while (k < count && sorted[k] < l->acked[i].number)
            k++;
        if (k < count && sorted[k] == l->acked[i].number)
            continue;
        if (l->lost++ == 0)
            l->first_lost = l->acked[i].number;
    }
    free(sorted);
}
