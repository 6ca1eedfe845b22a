/* nodectl slots show. */
#include "nodectl/slots/commands.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "noded/store/keyspace.h"
#include "nodectl/reply_json.h"
#include "nodectl/slots/keys.h"
#include "nodectl/slots/load.h"
#include "nodectl/slots/map.h"
#include "nodectl/slots/session.h"
#include "nodectl/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define RANGES_SHOWN 3

struct shown {
    struct session s;
    size_t *masters; /* indices in the picture, in the order of their first slot; those without slots behind */
    size_t n;
    struct slot_set *slots; /* of each */
    struct key_counts *counts;
    struct slot_loads *loads; /* as counts; NULL: they are not shown */
    size_t nloads;
    int slot; /* -1: all */
    struct map map;
};

/* ---- what there is ---- */

static unsigned first_of(const struct slot_set *s)
{
    return slot_set_next(s, 0);
}

static bool comes_before(const struct shown *w, size_t node, const struct slot_set *slots, size_t other)
{
    unsigned a = first_of(slots), b = first_of(&w->slots[other]);
    return a != b ? a < b : runid_cmp(w->s.picture.v[node].id, w->s.picture.v[w->masters[other]].id) < 0;
}

static void find_masters(struct shown *w)
{
    const struct picture *p = &w->s.picture;
    w->masters = mem_array(NULL, p->n + 1, sizeof *w->masters);
    w->slots = mem_zalloc((p->n + 1) * sizeof *w->slots);
    for (size_t i = 0; i < p->n; i++) {
        struct slot_set slots = {{0}};
        size_t at = w->n;
        if (!p->v[i].master)
            continue;
        for (unsigned s = 0; s < SN_SLOTS; s++)
            if (p->owner[s] == (int16_t)i)
                slot_set_add(&slots, s);
        for (; at > 0 && comes_before(w, i, &slots, at - 1); at--) {
            w->masters[at] = w->masters[at - 1];
            w->slots[at] = w->slots[at - 1];
        }
        w->masters[at] = i;
        w->slots[at] = slots;
        w->n++;
    }
}

static void make_map(struct shown *w)
{
    const struct picture *p = &w->s.picture;
    for (unsigned s = 0; s < SN_SLOTS; s++)
        w->map.owner[s] = MAP_NOBODY;
    for (size_t i = 0; i < w->n; i++)
        for (unsigned s = first_of(&w->slots[i]); s < SN_SLOTS; s = slot_set_next(&w->slots[i], s + 1))
            w->map.owner[s] = (int16_t)i;
    for (size_t i = 0; i < p->n; i++)
        for (size_t o = 0; o < p->v[i].nopen; o++)
            slot_set_add(&w->map.open, p->v[i].open[o].slot);
}

/* Keys of the slots that are shown; of all slots the node's own sums are enough. */
static bool count(struct shown *w, struct buf *why)
{
    size_t n = 0;
    w->counts = keys_new(w->n);
    for (size_t i = 0; i < w->n; i++) {
        const struct picture_node *node = &w->s.picture.v[w->masters[i]];
        if (!node->answers)
            continue;
        memcpy(w->counts[n].id, node->id, sizeof(runid));
        if (w->slot >= 0 && slot_set_has(&w->slots[i], (unsigned)w->slot))
            slot_set_add(&w->counts[n].of, (unsigned)w->slot);
        n++;
    }
    return keys_count(&w->s.picture, w->counts, n, why);
}

/* What they take, of the slots that are shown. */
static bool ask_loads(struct shown *w, struct buf *why)
{
    if (!w->s.asking.document && w->s.asking.format != OUTPUT_WIDE)
        return true;
    w->loads = loads_new(w->n);
    for (size_t i = 0; i < w->n; i++) {
        const struct picture_node *node = &w->s.picture.v[w->masters[i]];
        struct slot_loads *l = &w->loads[w->nloads];
        if (!node->answers)
            continue;
        memcpy(l->id, node->id, sizeof(runid));
        l->of = w->slots[i];
        for (unsigned s = 0; w->slot >= 0 && s < SN_SLOTS; s++)
            if (s != (unsigned)w->slot)
                slot_set_drop(&l->of, s);
        w->nloads++;
    }
    return loads_ask(&w->s.picture, w->loads, w->nloads, why);
}

/* -1: the node does not tell it. */
static int64_t load_of(const struct shown *w, const struct picture_node *n, enum load_figure figure)
{
    for (size_t i = 0; i < w->nloads; i++)
        if (strcmp(w->loads[i].id, n->id) == 0 && w->loads[i].told[figure])
            return loads_sum(&w->loads[i], figure);
    return -1;
}

static const struct key_counts *counts_of(const struct shown *w, const struct picture_node *n)
{
    for (size_t i = 0; i < w->n; i++)
        if (n->answers && strcmp(w->counts[i].id, n->id) == 0)
            return &w->counts[i];
    return NULL;
}

/* ---- for programs ---- */

static json_t *databases(const struct shown *w, const struct key_counts *c)
{
    json_t *list = json_array();
    for (int db = 0; c != NULL && db < c->databases; db++) {
        int64_t keys = w->slot >= 0 ? c->per_database[db] : c->keys_of_database[db];
        if (keys > 0)
            json_array_append_new(list, json_pack("{s:i, s:I}", "database", db, "keys", (json_int_t)keys));
    }
    return list;
}

static json_t *open_slots(const struct picture_node *n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n->nopen; i++)
        json_array_append_new(list,
                              json_pack("{s:i, s:s, s:s}", "slot", (int)n->open[i].slot, "state",
                                        n->open[i].importing ? "importing" : "migrating", "node", n->open[i].other));
    return list;
}

static json_t *ranges_of(const struct slot_set *s)
{
    json_t *list = json_array();
    for (unsigned first = 0, last; slot_set_range(s, &first, &last); first = last + 1)
        json_array_append_new(list, json_pack("[i, i]", (int)first, (int)last));
    return list;
}

static json_t *load_document(const struct shown *w, const struct picture_node *n, enum load_figure figure)
{
    int64_t load = load_of(w, n, figure);
    return load >= 0 ? json_integer((json_int_t)load) : json_null();
}

static json_t *master_document(const struct shown *w, size_t i)
{
    const struct picture_node *n = &w->s.picture.v[w->masters[i]];
    const struct key_counts *c = counts_of(w, n);
    char text[ADDR_TEXT_MAX];
    return json_pack("{s:s, s:s, s:b, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", n->id, "address",
                     addr_text(&n->addr, text), "answers", n->answers, "replicas",
                     (int)picture_replicas(&w->s.picture, n), "slots", (int)slot_set_count(&w->slots[i]), "ranges",
                     ranges_of(&w->slots[i]), "keys", c != NULL ? json_integer((json_int_t)c->all) : json_null(),
                     "databases", databases(w, c), "open", open_slots(n), "memory_bytes",
                     load_document(w, n, LOAD_MEMORY), "cpu_usec", load_document(w, n, LOAD_CPU_US), "network_bytes_in",
                     load_document(w, n, LOAD_IN), "network_bytes_out", load_document(w, n, LOAD_OUT));
}

static void print_document(const struct shown *w)
{
    json_t *o = json_object(), *list = json_array();
    for (size_t i = 0; i < w->n; i++)
        if (w->slot < 0 || slot_set_has(&w->slots[i], (unsigned)w->slot))
            json_array_append_new(list, master_document(w, i));
    json_object_set_new(o, "slots_covered", json_integer((json_int_t)w->s.picture.covered));
    if (w->slot >= 0)
        json_object_set_new(o, "slot", json_integer(w->slot));
    json_object_set_new(o, "masters", list);
    output_document(w->s.asking.format, o);
    json_decref(o);
}

/* ---- for people ---- */

static void print_picture(const struct shown *w)
{
    struct winsize size;
    bool colour = colour_wanted(stdout);
    int columns = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    unsigned cells = map_cells(columns);
    for (unsigned row = 0; row < MAP_ROWS; row++) {
        struct buf line = {0};
        if (colour)
            map_row_painted(&w->map, cells, row, &line);
        else
            map_row(&w->map, cells, row, &line);
        printf("  %5u  %s\n", row * MAP_ROW_SLOTS, buf_str(&line));
        buf_free(&line);
    }
    putchar('\n');
}

static void put_keys(struct buf *out, const struct shown *w, const struct key_counts *c, bool wide)
{
    if (c == NULL) {
        buf_puts(out, "?");
        return;
    }
    if (!wide)
        buf_printf(out, "%lld", (long long)(w->slot >= 0 ? c->keys[w->slot] : c->all));
    for (int db = 0; wide && db < c->databases; db++) {
        int64_t keys = w->slot >= 0 ? c->per_database[db] : c->keys_of_database[db];
        if (keys > 0)
            buf_printf(out, "%sdb%d:%lld", out->n > 0 ? " " : "", db, (long long)keys);
    }
    if (out->n == 0)
        buf_puts(out, "0");
}

static void put_load(struct table *t, const struct shown *w, const struct picture_node *n, enum load_figure figure,
                     double unit)
{
    int64_t load = load_of(w, n, figure);
    if (load >= 0)
        table_cell(t, PAINT_NONE, "%.3f", (double)load / unit);
    else
        table_cell(t, PAINT_NONE, "?");
}

static void print_table(const struct shown *w)
{
    static const char *const titles[] = {"", "MASTER", "NODE", "SLOTS", "KEYS", "REPLICAS", "RANGES", NULL};
    static const char *const wide_titles[] = {"",      "MASTER", "NODE",   "SLOTS",    "KEYS",   "MEMORY MB",
                                              "CPU S", "IN MB",  "OUT MB", "REPLICAS", "RANGES", NULL};
    bool wide = w->s.asking.format == OUTPUT_WIDE;
    struct table *t = table_new(wide ? wide_titles : titles);
    for (size_t i = 0; i < w->n; i++) {
        const struct picture_node *n = &w->s.picture.v[w->masters[i]];
        struct buf keys = {0}, ranges = {0};
        char text[ADDR_TEXT_MAX];
        size_t replicas = picture_replicas(&w->s.picture, n);
        if (w->slot >= 0 && !slot_set_has(&w->slots[i], (unsigned)w->slot))
            continue;
        put_keys(&keys, w, counts_of(w, n), wide);
        slot_set_put(&ranges, &w->slots[i], wide ? 0 : RANGES_SHOWN);
        table_cell(t, PAINT_HEAD, "%c", map_letter((int)i));
        table_cell(t, n->answers ? PAINT_NONE : PAINT_BAD, "%s", addr_text(&n->addr, text));
        table_cell(t, PAINT_NONE, "%.*s", wide ? RUNID_LEN : 8, n->id);
        table_cell(t, PAINT_NONE, "%u", slot_set_count(&w->slots[i]));
        table_cell(t, PAINT_NONE, "%s", buf_str(&keys));
        if (wide) {
            put_load(t, w, n, LOAD_MEMORY, 1e6);
            put_load(t, w, n, LOAD_CPU_US, 1e6);
            put_load(t, w, n, LOAD_IN, 1e6);
            put_load(t, w, n, LOAD_OUT, 1e6);
        }
        table_cell(t, replicas > 0 ? PAINT_NONE : PAINT_WARN, "%zu", replicas);
        table_cell(t, PAINT_NONE, "%s", buf_str(&ranges));
        buf_free(&keys);
        buf_free(&ranges);
    }
    table_print(t, stdout, "", colour_wanted(stdout));
    table_free(t);
}

static void print_rest(const struct shown *w)
{
    const struct picture *p = &w->s.picture;
    char text[ADDR_TEXT_MAX];
    bool colour = colour_wanted(stdout);
    if (w->slot >= 0 && p->owner[w->slot] < 0)
        print_line(stdout, colour, PAINT_BAD, "Slot %d is nobody's.", w->slot);
    if (w->slot < 0 && p->covered < SN_SLOTS)
        print_line(stdout, colour, PAINT_BAD, "%zu slots are nobody's.", SN_SLOTS - p->covered);
    for (size_t i = 0; i < p->n; i++)
        for (size_t o = 0; o < p->v[i].nopen; o++)
            if (w->slot < 0 || p->v[i].open[o].slot == w->slot)
                print_line(stdout, colour, PAINT_WARN, "Slot %u is open: %s %s %.8s.", p->v[i].open[o].slot,
                           addr_text(&p->v[i].addr, text),
                           p->v[i].open[o].importing ? "imports it from" : "migrates it to", p->v[i].open[o].other);
}

static int print(const struct shown *w)
{
    size_t silent = 0;
    for (size_t i = 0; i < w->n; i++)
        silent += !w->s.picture.v[w->masters[i]].answers;
    if (w->s.asking.document) {
        print_document(w);
    } else {
        if (w->slot >= 0)
            printf("Slot %d\n", w->slot);
        else
            print_picture(w);
        print_table(w);
        print_rest(w);
    }
    fflush(stdout);
    return silent == 0
               ? EXIT_OK
               : command_fail(w->s.call, EXIT_FAILED, "%zu masters do not answer: see `nodectl slots check`", silent);
}

/* ---- the command ---- */

static int read_slot(const struct command_call *call, int *slot)
{
    const char *number = command_value(call, "--slot"), *key = command_value(call, "--key");
    int64_t n = -1;
    if (number != NULL && key != NULL)
        return command_fail(call, EXIT_USAGE, "give --slot or --key, not both");
    if (number != NULL && !text_range(slice_of(number), 0, SN_SLOTS - 1, &n))
        return command_fail(call, EXIT_USAGE, "--slot is '%s', but must be a number from 0 to 16383", number);
    *slot = key != NULL ? nd_key_slot(slice_of(key)) : (int)n;
    return EXIT_OK;
}

int slots_run_show(const struct command_call *call)
{
    struct shown w = {.slot = -1};
    struct buf why = {0};
    int code = session_read(&w.s, call);
    if (code == EXIT_OK)
        code = read_slot(call, &w.slot);
    if (code == EXIT_OK)
        code = session_look(&w.s);
    if (code == EXIT_OK) {
        find_masters(&w);
        make_map(&w);
        if (count(&w, &why) && ask_loads(&w, &why))
            code = print(&w);
        else
            code = command_fail(call, EXIT_FAILED, "%s", buf_str(&why));
    }
    free(w.masters);
    free(w.slots);
    free(w.counts);
    free(w.loads);
    buf_free(&why);
    session_end(&w.s);
    return code;
}
