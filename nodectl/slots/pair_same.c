/* Keys that are at both ends. The slot's owner serves such a key: the source of a move, or the one that a stray is
 * brought home to. Its value is the right one; but the other value may be somebody's too, and is replaced only where
 * both are the same, or where it was said that the owner's value wins. */
#include "nodectl/slots/pair.h"

#include "common/base/text.h"
#include "nodectl/reply_json.h"
#include "nodectl/slots/ask.h"

#include <stdlib.h>
#include <string.h>

static void ask_values(const struct pair *l, struct fleet_member *m, bool select)
{
    const redisReply *keys = l->compare.keys;
    if (select)
        ask_words(m, "SELECT %d", l->compare.database);
    for (size_t i = 0; i < keys->elements; i++) {
        const struct slice key = {keys->element[i]->str, keys->element[i]->len};
        const struct slice digest[] = {slice_of("DEBUG"), slice_of("DIGEST-VALUE"), key};
        const struct slice dump[] = {slice_of("DUMP"), key};
        fleet_ask_slices(m, 3, digest);
        ask_words(m, "ASKING"); /* one of the two may import the slot */
        fleet_ask_slices(m, 2, dump);
    }
    if (select)
        ask_words(m, "SELECT 0");
}

void same_ask(struct pair *l)
{
    struct picture_node *from = pair_from(l), *to = pair_to(l);
    if (from == NULL || to == NULL)
        return;
    l->place[0] = from->member->wanted + (from->databases > 1);
    l->place[1] = to->member->wanted + (to->databases > 1);
    ask_values(l, from->member, from->databases > 1);
    ask_values(l, to->member, to->databases > 1);
}

/* DEBUG is switched off in many servers; then the serialized values say it, where their encodings are the same. */
static bool is_same(const redisReply *digest_a, const redisReply *digest_b, const redisReply *dump_a,
                    const redisReply *dump_b)
{
    bool digests = digest_a != NULL && digest_b != NULL && digest_a->type == REDIS_REPLY_ARRAY &&
                   digest_b->type == REDIS_REPLY_ARRAY && digest_a->elements == 1 && digest_b->elements == 1;
    if (dump_a == NULL || dump_b == NULL)
        return false;
    if (dump_a->type == REDIS_REPLY_NIL || dump_b->type == REDIS_REPLY_NIL)
        return true; /* gone from one of them meanwhile */
    if (digests)
        return slice_eq(reply_text(digest_a->element[0]), reply_text(digest_b->element[0]));
    return dump_a->type == REDIS_REPLY_STRING && dump_b->type == REDIS_REPLY_STRING &&
           slice_eq(reply_text(dump_a), reply_text(dump_b));
}

/* The end that has the slot. */
static struct picture_node *owner(const struct pair *l)
{
    return picture_is_mine(l->p, l->compare.slot, pair_to(l)) ? pair_to(l) : pair_from(l);
}

static bool owner_wins(const struct pair *l)
{
    return l->how != NULL && l->how->owner_wins;
}

/* The slot stays as it is, and the rest of the window goes on. */
static void leave_slot(struct pair *l, const redisReply *key)
{
    struct buf name = {0};
    char text[2][ADDR_TEXT_MAX];
    const struct picture_node *right = owner(l), *other = right == pair_to(l) ? pair_from(l) : pair_to(l);
    text_quote(&name, (struct slice){key->str, (size_t)key->len}, 64);
    if (l->stuck_why.n == 0)
        buf_printf(
            &l->stuck_why,
            "key %s (database %d, slot %u) is at %s, the slot's owner, which serves it, and with another value, "
            "or one that cannot be compared, at %s, which should not have it. The same command with --owner-wins "
            "keeps the owner's value and gives up the other; if the other is the right one, write it at the "
            "owner first",
            buf_str(&name), l->compare.database, l->compare.slot, addr_text(&right->addr, text[0]),
            addr_text(&other->addr, text[1]));
    slot_set_add(&l->stuck, l->compare.slot);
    if (l->probing)
        slot_set_add(&l->unmoved, l->compare.slot);
    for (size_t i = 0; i < l->nwindow; i++)
        if (l->window[i] == l->compare.slot)
            l->window[i--] = l->window[--l->nwindow];
    buf_free(&name);
}

void same_next(struct pair *l)
{
    if (l->nbatches > 0) {
        l->compare = l->batches[--l->nbatches];
        l->phase = PAIR_COMPARES;
    } else {
        l->probing = false;
        l->phase = l->nwindow > 0 ? PAIR_MIGRATES : PAIR_LOOKS;
    }
}

/* What the owner has too is deleted at the other end; the rest of the batch is read again. */
static void drop_begin(struct pair *l)
{
    const struct fleet_member *to = pair_to(l)->member;
    redisReply *keys = l->compare.keys;
    size_t n = 0;
    for (size_t i = 0; i < keys->elements; i++) {
        const redisReply *dump = ask_answer(to, l->place[1] + 3 * i + 2);
        redisReply *key = keys->element[i];
        if (dump == NULL || dump->type == REDIS_REPLY_NIL)
            continue;
        keys->element[i] = keys->element[n];
        keys->element[n++] = key;
    }
    l->place[2] = n;
    l->phase = PAIR_DROPS;
}

void drop_ask(struct pair *l)
{
    struct picture_node *from = pair_from(l);
    if (from == NULL)
        return;
    if (from->databases > 1)
        ask_words(from->member, "SELECT %d", l->compare.database);
    for (size_t i = 0; i < l->place[2]; i++) {
        const redisReply *key = l->compare.keys->element[i];
        const struct slice words[] = {slice_of("DEL"), {key->str, key->len}};
        ask_words(from->member, "ASKING");
        fleet_ask_slices(from->member, 2, words);
    }
    if (from->databases > 1)
        ask_words(from->member, "SELECT 0");
}

void drop_take(struct pair *l)
{
    struct picture_node *from = pair_from(l);
    freeReplyObject(l->compare.keys);
    l->compare.keys = NULL;
    l->phase = from == NULL || from->member->error != NULL ? PAIR_LOST : PAIR_READS;
    for (size_t i = 0; l->phase == PAIR_READS && i < from->member->wanted; i++) {
        buf_clear(&l->why);
        if (ask_good(from->member, i, &l->why) == NULL)
            pair_again(l);
    }
}

/* The first key of the batch that is not the same; NULL: all are. */
static const redisReply *differing(const struct pair *l)
{
    const struct fleet_member *from = pair_from(l)->member, *to = pair_to(l)->member;
    const redisReply *keys = l->compare.keys;
    for (size_t i = 0; i < keys->elements; i++) {
        size_t a = l->place[0] + 3 * i, b = l->place[1] + 3 * i;
        if (!is_same(ask_answer(from, a), ask_answer(to, b), ask_answer(from, a + 2), ask_answer(to, b + 2)))
            return keys->element[i];
    }
    return NULL;
}

void same_take(struct pair *l)
{
    struct picture_node *from = pair_from(l), *to = pair_to(l);
    if (from == NULL || to == NULL || from->member->error != NULL || to->member->error != NULL) {
        l->phase = PAIR_LOST;
        return;
    }
    const redisReply *other = differing(l);
    if (other != NULL && owner_wins(l) && owner(l) == to) {
        drop_begin(l);
        return;
    }
    if (other != NULL && !owner_wins(l)) {
        leave_slot(l, other);
        freeReplyObject(l->compare.keys);
        l->phase = l->nwindow > 0 ? PAIR_READS : PAIR_LOOKS;
    } else if (l->probing) {
        freeReplyObject(l->compare.keys);
    } else {
        pair_batch_add(l, &l->compare);
        l->replace = true;
        l->phase = PAIR_SENDS;
    }
    l->compare.keys = NULL;
    if (l->probing)
        same_next(l);
}
