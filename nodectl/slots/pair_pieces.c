/* The classic flow, for nodes that have no other: some slots are opened at both ends, their keys go with MIGRATE,
 * database by database, and the slots are given to the target. A window of slots shares each round trip. */
#include "nodectl/slots/pair.h"

#include "common/base/mem.h"
#include "nodectl/slots/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIGRATE_MS 10000
/* While a batch is on its way a stock source answers nobody. */
#define PROBE_KEYS 1000
#define BATCH_FIRST 16
#define BATCH_MAX 512
#define BATCH_SHORT_MS 4
#define BATCH_LONG_MS 20

void pieces_begin(struct pair *l, const struct slot_set *slots, bool fresh)
{
    struct slot_set of = *slots;
    l->nwindow = 0;
    for (unsigned s = slot_set_next(&of, 0); s < SN_SLOTS && l->nwindow < PAIR_WINDOW; s = slot_set_next(&of, s + 1))
        l->window[l->nwindow++] = s;
    l->chunk = (struct slot_set){{0}};
    l->fresh = fresh;
    l->sent = 0;
    l->replace = false;
    l->probing = false;
    l->batch_keys = l->batch_keys > 0 ? l->batch_keys : BATCH_FIRST;
    l->phase = PAIR_IMPORTS;
}

void pieces_close(struct pair *l)
{
    pieces_begin(l, &l->unmoved, false);
    for (size_t i = 0; i < l->nwindow; i++)
        slot_set_drop(&l->unmoved, l->window[i]);
    l->phase = PAIR_UNDOES;
}

static void batches_free(struct pair *l)
{
    for (size_t i = 0; i < l->nbatches; i++)
        freeReplyObject(l->batches[i].keys);
    l->nbatches = 0;
}

/* ---- SETSLOT, for each slot of the window ---- */

static size_t ask_window(const struct pair *l, struct fleet_member *m, const char *state, const char *node)
{
    size_t first = m->wanted;
    for (size_t i = 0; i < l->nwindow; i++)
        ask_words(m, "CLUSTER SETSLOT %u %s %s", l->window[i], state, node);
    return first;
}

/* Who has not heard it by the bus is told; what they answer does not matter. */
static void tell_others(const struct pair *l)
{
    for (size_t i = 0; i < l->p->n; i++) {
        const struct picture_node *n = &l->p->v[i];
        bool other = runid_cmp(n->id, l->from) != 0 && runid_cmp(n->id, l->to) != 0;
        if (other && n->master && n->answers && n->member != NULL && n->member->error == NULL)
            ask_window(l, n->member, "NODE", l->to);
    }
}

/* Whether all of the window's answers are good; else the pair looks again in a second. */
static bool window_is_good(struct pair *l, const struct fleet_member *m)
{
    if (m->error != NULL) {
        l->phase = PAIR_LOST;
        return false;
    }
    for (size_t i = 0; i < l->nwindow; i++) {
        struct buf why = {0};
        bool good = ask_good(m, l->place[0] + i, &why) != NULL;
        if (!good) {
            buf_free(&l->why);
            l->why = why;
            return false;
        }
    }
    return true;
}

static void take_window(struct pair *l, const struct fleet_member *m, enum pair_phase next)
{
    bool opening = l->phase == PAIR_IMPORTS || l->phase == PAIR_MIGRATES;
    if (window_is_good(l, m))
        l->phase = next;
    else if (l->phase != PAIR_LOST && opening && l->fresh)
        l->phase = PAIR_UNDOES;
    else if (l->phase != PAIR_LOST)
        pair_again(l);
}

/* ---- the keys ---- */

static int databases_of(const struct picture_node *from)
{
    return from->databases > 1 ? (int)from->databases : 1;
}

static void ask_keys(struct pair *l, const struct picture_node *from, int keys)
{
    int databases = databases_of(from);
    l->place[0] = from->member->wanted;
    for (int db = 0; db < databases; db++) {
        if (databases > 1)
            ask_words(from->member, "SELECT %d", db);
        for (size_t i = 0; i < l->nwindow; i++)
            ask_words(from->member, "CLUSTER GETKEYSINSLOT %u %d", l->window[i], keys);
    }
    if (databases > 1)
        ask_words(from->member, "SELECT 0");
}

/* The names stay ours beyond the turn. */
static void keep_batch(struct pair *l, struct fleet_member *m, size_t place, unsigned slot, int database)
{
    struct pair_batch b = {.slot = slot, .database = database, .keys = m->replies[place]};
    pair_batch_add(l, &b);
    m->replies[place] = NULL;
}

static void take_keys(struct pair *l, const struct picture_node *from)
{
    int databases = databases_of(from);
    size_t place = l->place[0];
    struct fleet_member *m = from->member;
    batches_free(l);
    for (int db = 0; db < databases; db++) {
        buf_clear(&l->why);
        if (databases > 1 && ask_good(m, place++, &l->why) == NULL) {
            pair_again(l);
            return;
        }
        for (size_t i = 0; i < l->nwindow; i++, place++) {
            const redisReply *r = ask_good(m, place, &l->why);
            if (r == NULL) {
                pair_again(l);
                return;
            }
            if (r->type == REDIS_REPLY_ARRAY && r->elements > 0)
                keep_batch(l, m, place, l->window[i], db);
        }
    }
    l->phase = l->nbatches > 0 ? PAIR_SENDS : PAIR_CLAIMS;
}

/* Keys that the target has of slots that were not open: one with another value there is better found before anything
 * has moved. */
static void take_probe(struct pair *l, const struct picture_node *to)
{
    take_keys(l, to);
    if (l->phase != PAIR_SENDS && l->phase != PAIR_CLAIMS)
        return;
    l->probing = true;
    same_next(l);
}

static void ask_migrate(const struct pair *l, struct pair_batch *b)
{
    const struct picture_node *from = pair_from(l), *to = pair_to(l);
    const struct asking *a = l->p->asking;
    struct slice *words = mem_array(NULL, b->keys->elements + 12, sizeof *words);
    char port[16], database[16], timeout[16];
    size_t n = 0;
    if (databases_of(from) > 1)
        ask_words(from->member, "SELECT %d", b->database);
    snprintf(port, sizeof port, "%d", to->addr.port);
    snprintf(database, sizeof database, "%d", b->database);
    snprintf(timeout, sizeof timeout, "%d", MIGRATE_MS);
    const char *const begin[] = {"MIGRATE", to->addr.host, port, "", database, timeout};
    while (n < sizeof begin / sizeof *begin) {
        words[n] = slice_of(begin[n]);
        n++;
    }
    if (l->replace)
        words[n++] = slice_of("REPLACE");
    if (a->node_password[0] != '\0') {
        words[n++] = slice_of(a->node_user[0] != '\0' ? "AUTH2" : "AUTH");
        if (a->node_user[0] != '\0')
            words[n++] = slice_of(a->node_user);
        words[n++] = slice_of(a->node_password);
    }
    words[n++] = slice_of("KEYS");
    for (size_t i = 0; i < b->keys->elements; i++)
        words[n++] = (struct slice){b->keys->element[i]->str, b->keys->element[i]->len};
    fleet_ask_slices(from->member, n, words);
    b->place = from->member->wanted - 1;
    free(words);
}

static void ask_batches(struct pair *l, const struct picture_node *from)
{
    l->asked_ms = fleet_now_ms();
    for (size_t i = 0; i < l->nbatches; i++)
        ask_migrate(l, &l->batches[i]);
    if (databases_of(from) > 1)
        ask_words(from->member, "SELECT 0");
}

static void adapt(struct pair *l)
{
    int64_t each_ms = (fleet_now_ms() - l->asked_ms) / (int64_t)(l->nbatches > 0 ? l->nbatches : 1);
    if (each_ms <= BATCH_SHORT_MS && l->batch_keys < BATCH_MAX)
        l->batch_keys *= 2;
    else if (each_ms >= BATCH_LONG_MS && l->batch_keys > 1)
        l->batch_keys /= 2;
}

/* A key that is at both ends already: a crash came between its arrival there and its end here, or somebody wrote it
 * there. The rest of the batches is read again afterwards. */
static void take_batches(struct pair *l, const struct picture_node *from)
{
    bool good = true;
    for (size_t i = 0; i < l->nbatches; i++) {
        struct pair_batch *b = &l->batches[i];
        buf_clear(&l->why);
        if (ask_good(from->member, b->place, &l->why) != NULL) {
            l->sent += (int64_t)b->keys->elements;
        } else if (strstr(buf_str(&l->why), "BUSYKEY") != NULL && l->compare.keys == NULL) {
            l->compare = *b;
            b->keys = NULL;
        } else if (strstr(buf_str(&l->why), "BUSYKEY") == NULL) {
            good = false;
            break;
        }
    }
    if (good)
        adapt(l);
    batches_free(l);
    l->replace = false;
    if (!good)
        pair_again(l);
    else
        l->phase = l->compare.keys != NULL ? PAIR_COMPARES : PAIR_READS;
}

/* ---- a turn ---- */

void pieces_ask(struct pair *l)
{
    struct picture_node *from = pair_from(l), *to = pair_to(l);
    if (from == NULL || to == NULL)
        return;
    switch ((int)l->phase) {
    case PAIR_IMPORTS: l->place[0] = ask_window(l, to->member, "IMPORTING", l->from); break;
    case PAIR_MIGRATES: l->place[0] = ask_window(l, from->member, "MIGRATING", l->to); break;
    case PAIR_PROBES: ask_keys(l, to, PROBE_KEYS); break;
    case PAIR_READS: ask_keys(l, from, l->batch_keys); break;
    case PAIR_SENDS: ask_batches(l, from); break;
    case PAIR_CLAIMS: l->place[0] = ask_window(l, to->member, "NODE", l->to); break;
    case PAIR_YIELDS:
        l->place[0] = ask_window(l, from->member, "NODE", l->to);
        tell_others(l);
        break;
    case PAIR_UNDOES:
        ask_window(l, from->member, "STABLE", "");
        ask_window(l, to->member, "STABLE", "");
        break;
    default: break;
    }
}

void pieces_take(struct pair *l)
{
    struct picture_node *from = pair_from(l), *to = pair_to(l);
    if (from == NULL || to == NULL || from->member->error != NULL || to->member->error != NULL) {
        l->phase = PAIR_LOST;
        return;
    }
    switch ((int)l->phase) {
    case PAIR_IMPORTS: take_window(l, to->member, l->fresh && !l->how->owner_wins ? PAIR_PROBES : PAIR_MIGRATES); break;
    case PAIR_PROBES: take_probe(l, to); break;
    case PAIR_MIGRATES: take_window(l, from->member, PAIR_READS); break;
    case PAIR_READS: take_keys(l, from); break;
    case PAIR_SENDS: take_batches(l, from); break;
    case PAIR_CLAIMS: take_window(l, to->member, PAIR_YIELDS); break;
    case PAIR_YIELDS:
        take_window(l, from->member, PAIR_LOOKS);
        if (l->phase == PAIR_LOOKS)
            l->failures = 0;
        break;
    case PAIR_UNDOES:
        if (l->fresh)
            pair_again(l);
        else
            l->phase = PAIR_LOOKS;
        break;
    default: break;
    }
}
