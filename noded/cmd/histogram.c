#include "noded/cmd/histogram.h"

#include "common/base/mem.h"

#include <stdlib.h>

#define FIRST_LEVEL_NS 1024
#define LAST_NS (((uint64_t)1 << 30) - 1) /* the end of the last bucket */

static uint64_t width_of(unsigned row)
{
    return row == 0 ? 1 : (uint64_t)1 << (row - 1);
}

static uint64_t begin_of(struct nd_histogram_bucket b)
{
    return b.row == 0 ? b.column : (uint64_t)(b.column + ND_HISTOGRAM_COLUMNS) << (b.row - 1);
}

struct nd_histogram *nd_histogram_new(void)
{
    return mem_zalloc(sizeof(struct nd_histogram));
}

void nd_histogram_free(struct nd_histogram *h)
{
    for (unsigned row = 0; h != NULL && row < ND_HISTOGRAM_ROWS; row++)
        free(h->rows[row]);
    free(h);
}

void nd_histogram_add_row(struct nd_histogram *h, unsigned row)
{
    h->rows[row] = mem_zalloc(ND_HISTOGRAM_COLUMNS * sizeof(uint64_t));
}

uint64_t nd_histogram_percentile(const struct nd_histogram *h, double percent)
{
    uint64_t wanted = (uint64_t)(percent / 100 * (double)h->total + 0.5), seen = 0;
    for (struct nd_histogram_bucket b = {0, 0}; b.row < ND_HISTOGRAM_ROWS; b.row++) {
        if (h->rows[b.row] == NULL)
            continue;
        for (b.column = 0; b.column < ND_HISTOGRAM_COLUMNS; b.column++) {
            seen += h->rows[b.row][b.column];
            if (seen > 0 && seen >= wanted)
                return begin_of(b) + (percent > 0 ? width_of(b.row) - 1 : 0);
        }
    }
    return 0;
}

static uint64_t count_up_to(const struct nd_histogram *h, uint64_t ns)
{
    struct nd_histogram_bucket last = nd_histogram_bucket(ns);
    uint64_t n = 0;
    for (unsigned row = 0; row <= last.row; row++)
        for (unsigned i = 0; h->rows[row] != NULL && i < ND_HISTOGRAM_COLUMNS && (row < last.row || i <= last.column);
             i++)
            n += h->rows[row][i];
    return n;
}

bool nd_histogram_next(const struct nd_histogram *h, struct nd_histogram_level *at)
{
    uint64_t before = at->count;
    while (at->count < h->total) {
        uint64_t from_ns = (uint64_t)FIRST_LEVEL_NS << at->number++;
        uint64_t up_to_ns = from_ns + width_of(nd_histogram_bucket(from_ns).row) - 1;
        at->up_to_ns = up_to_ns < LAST_NS ? up_to_ns : LAST_NS;
        at->count = count_up_to(h, at->up_to_ns);
        if (at->count > before)
            return true;
    }
    return false;
}
