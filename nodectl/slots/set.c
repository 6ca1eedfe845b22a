#include "nodectl/slots/set.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>

void slot_set_add(struct slot_set *s, unsigned slot)
{
    s->bits[slot / 8] |= (uint8_t)(1U << slot % 8);
}

void slot_set_drop(struct slot_set *s, unsigned slot)
{
    s->bits[slot / 8] &= (uint8_t) ~(1U << slot % 8);
}

bool slot_set_has(const struct slot_set *s, unsigned slot)
{
    return slot < SN_SLOTS && (s->bits[slot / 8] >> slot % 8 & 1) != 0;
}

unsigned slot_set_count(const struct slot_set *s)
{
    unsigned n = 0;
    for (size_t i = 0; i < sizeof s->bits; i++)
        n += (unsigned)__builtin_popcount(s->bits[i]);
    return n;
}

unsigned slot_set_next(const struct slot_set *s, unsigned from)
{
    while (from < SN_SLOTS && !slot_set_has(s, from))
        from += from % 8 == 0 && s->bits[from / 8] == 0 ? 8 : 1;
    return from;
}

bool slot_set_range(const struct slot_set *s, unsigned *first, unsigned *last)
{
    *first = slot_set_next(s, *first);
    if (*first >= SN_SLOTS)
        return false;
    *last = *first;
    while (slot_set_has(s, *last + 1))
        ++*last;
    return true;
}

void slot_set_put(struct buf *out, const struct slot_set *s, size_t ranges)
{
    size_t n = 0;
    for (unsigned first = 0, last; slot_set_range(s, &first, &last); first = last + 1, n++) {
        if (ranges != 0 && n >= ranges)
            continue;
        buf_printf(out, first == last ? "%s%u" : "%s%u-%u", n > 0 ? "," : "", first, last);
    }
    if (ranges != 0 && n > ranges)
        buf_printf(out, ", ... (%zu ranges)", n);
}

static bool is_gap(char c)
{
    return c == ',' || c == ' ';
}

bool slot_set_parse(struct slot_set *s, const char *text, struct buf *why)
{
    bool any = false;
    *s = (struct slot_set){0};
    while (*text != '\0') {
        size_t n = 0;
        int64_t first, last;
        if (is_gap(*text)) {
            text++;
            continue;
        }
        while (text[n] != '\0' && !is_gap(text[n]))
            n++;
        struct slice end = {text, n}, begin = slice_cut(&end, '-');
        bool pair = begin.n < n;
        if (!text_range(begin, 0, SN_SLOTS - 1, &first) || (pair && !text_range(end, 0, SN_SLOTS - 1, &last))) {
            buf_printf(why, "'%.*s' is no slot (0-16383) and no range of slots, as 0-100", (int)n, text);
            return false;
        }
        last = pair ? last : first;
        if (first > last) {
            buf_printf(why, "the range '%.*s' ends before it begins", (int)n, text);
            return false;
        }
        for (int64_t slot = first; slot <= last; slot++)
            slot_set_add(s, (unsigned)slot);
        any = true;
        text += n;
    }
    if (!any)
        buf_puts(why, "no slot is named");
    return any;
}

void slot_moves_add(struct slot_moves *m, const char *from, const char *to, unsigned slot)
{
    size_t i = 0;
    while (i < m->n && (runid_cmp(m->v[i].from, from) != 0 || runid_cmp(m->v[i].to, to) != 0))
        i++;
    if (i == m->n) {
        m->v = mem_grow(m->v, m->n, &m->cap, sizeof *m->v);
        m->v[m->n] = (struct slot_move){.from = ""};
        memcpy(m->v[m->n].from, from, RUNID_LEN);
        memcpy(m->v[m->n++].to, to, RUNID_LEN);
    }
    slot_set_add(&m->v[i].slots, slot);
}

unsigned slot_moves_count(const struct slot_moves *m)
{
    unsigned n = 0;
    for (size_t i = 0; i < m->n; i++)
        n += slot_set_count(&m->v[i].slots);
    return n;
}

void slot_moves_free(struct slot_moves *m)
{
    free(m->v);
    *m = (struct slot_moves){0};
}
