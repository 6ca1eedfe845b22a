#include "nodectl/slots/keys.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/info.h"
#include "nodectl/reply_json.h"
#include "nodectl/slots/ask.h"

#include <stdlib.h>
#include <string.h>

#define COUNTING_MS 15000 /* some hundred thousand short answers */

struct key_counts *keys_new(size_t n)
{
    struct key_counts *counts = mem_zalloc((n + 1) * sizeof *counts);
    return counts;
}

static int64_t number_of(struct slice info, const char *name)
{
    int64_t v;
    return text_range(info_field(info, name), 0, INT64_MAX, &v) ? v : 0;
}

/* "db3:keys=10,expires=0,..." */
static void read_databases(struct slice info, struct key_counts *c, bool has[KEYS_DATABASES])
{
    while (info.n > 0) {
        struct slice line = slice_cut_line(&info), name = slice_cut(&line, ':'), keys = slice_cut(&line, ',');
        int64_t number, count;
        if (name.n < 3 || memcmp(name.p, "db", 2) != 0 || keys.n < 6 || memcmp(keys.p, "keys=", 5) != 0)
            continue;
        if (!text_range((struct slice){name.p + 2, name.n - 2}, 0, KEYS_DATABASES - 1, &number) ||
            !text_range((struct slice){keys.p + 5, keys.n - 5}, 1, INT64_MAX, &count))
            continue;
        has[number] = true;
        c->keys_of_database[number] = count;
        c->all += count;
        if (number >= c->databases)
            c->databases = (int)number + 1;
    }
}

/* Returns how many answers are behind each other for it: of each database a SELECT and one for each slot. */
static void ask_counts(struct fleet_member *m, const struct key_counts *c, const bool has[KEYS_DATABASES])
{
    for (int db = 0; db < c->databases; db++) {
        if (!has[db])
            continue;
        if (c->databases > 1)
            ask_words(m, "SELECT %d", db);
        for (unsigned s = slot_set_next(&c->of, 0); s < SN_SLOTS; s = slot_set_next(&c->of, s + 1))
            ask_words(m, "CLUSTER COUNTKEYSINSLOT %u", s);
    }
    if (c->databases > 1)
        ask_words(m, "SELECT 0");
}

static void add_part(struct key_parts *parts, struct key_part part)
{
    parts->v = mem_grow(parts->v, parts->n, &parts->cap, sizeof *parts->v);
    parts->v[parts->n++] = part;
}

static bool take_counts(const struct fleet_member *m, struct key_counts *c, const bool has[KEYS_DATABASES],
                        struct buf *why)
{
    size_t place = 0;
    for (int db = 0; db < c->databases; db++) {
        if (!has[db])
            continue;
        if (c->databases > 1 && ask_good(m, place++, why) == NULL)
            return false;
        for (unsigned s = slot_set_next(&c->of, 0); s < SN_SLOTS; s = slot_set_next(&c->of, s + 1)) {
            const redisReply *r = ask_good(m, place++, why);
            if (r == NULL)
                return false;
            if (r->type != REDIS_REPLY_INTEGER || r->integer <= 0)
                continue;
            c->keys[s] += r->integer;
            c->highest[s] = (int16_t)db;
            c->per_database[db] += r->integer;
            if (c->parts != NULL)
                add_part(c->parts, (struct key_part){(uint16_t)s, (int16_t)db, r->integer});
        }
    }
    return true;
}

bool keys_count(struct picture *p, struct key_counts *counts, size_t n, struct buf *why)
{
    bool ok = true;
    bool(*has)[KEYS_DATABASES] = mem_zalloc((n + 1) * sizeof *has);
    fleet_forget(&p->fleet);
    for (size_t i = 0; i < n; i++) {
        struct fleet_member *m = picture_member(p, counts[i].id);
        memset(counts[i].highest, 0xff, sizeof counts[i].highest);
        if (m == NULL) {
            buf_printf(why, "node %s is gone", counts[i].id);
            ok = false;
        } else if (m->error == NULL) {
            ask_words(m, "INFO");
        }
    }
    fleet_run(&p->fleet);
    for (size_t i = 0; ok && i < n; i++) {
        struct slice info = reply_text(ask_good(picture_member(p, counts[i].id), 0, why));
        ok = info.n > 0;
        counts[i].bytes = number_of(info, "used_memory_dataset");
        counts[i].ops = number_of(info, "instantaneous_ops_per_sec");
        read_databases(info, &counts[i], has[i]);
    }
    fleet_forget(&p->fleet);
    int timeout_ms = p->fleet.timeout_ms;
    p->fleet.timeout_ms = timeout_ms > COUNTING_MS ? timeout_ms : COUNTING_MS;
    for (size_t i = 0; ok && i < n; i++)
        ask_counts(picture_member(p, counts[i].id), &counts[i], has[i]);
    if (ok)
        fleet_run(&p->fleet);
    for (size_t i = 0; ok && i < n; i++)
        ok = take_counts(picture_member(p, counts[i].id), &counts[i], has[i], why);
    fleet_forget(&p->fleet);
    p->fleet.timeout_ms = timeout_ms;
    free(has);
    return ok;
}
