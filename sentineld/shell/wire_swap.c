#include "sentineld/shell/wire_swap.h"

#include "common/base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WORDS 9

static const char *const verbs[] = {
    [SN_SWAP_STAND] = "STAND",
    [SN_SWAP_ACCEPT] = "ACCEPT",
    [SN_SWAP_TELL] = "TELL",
};

/* ---- records ---- */

static void put_step(struct buf *out, const struct sn_swap_step *s)
{
    buf_printf(out, ",%" PRIu64 ",%" PRIu64 ",%d,%d", s->version, s->begun, s->a, s->b);
}

static void put_record(struct buf *out, const struct sn_swap *s)
{
    const struct sn_swap_entry *e = &s->entry;
    buf_printf(out, "%d,%" PRIu64 ",%" PRIu64 ",%d,%d", (int)s->blank, s->promised, s->accepted, (int)e->value,
               (int)e->decided);
    put_step(out, &e->step);
    put_step(out, &e->before);
    buf_printf(out, ",%" PRIu64 ",%s", e->request, e->asker[0] != '\0' ? e->asker : "-");
    if (e->value == SN_SWAP_ABORT && e->why[0] != '\0')
        buf_printf(out, ",%s", e->why);
}

static bool read_number(struct slice *rest, int64_t max, uint64_t *out)
{
    int64_t v;
    if (!text_range(slice_cut(rest, ','), 0, max, &v))
        return false;
    *out = (uint64_t)v;
    return true;
}

static bool read_step(struct slice *rest, struct sn_swap_step *s)
{
    uint64_t a, b;
    if (!read_number(rest, INT64_MAX, &s->version) || !read_number(rest, INT64_MAX, &s->begun) ||
        !read_number(rest, INT32_MAX, &a) || !read_number(rest, INT32_MAX, &b))
        return false;
    s->a = (int)a;
    s->b = (int)b;
    return true;
}

/* For people: the last word, whatever it holds. */
static bool read_why(struct slice text, char out[SN_SWAP_WHY])
{
    if (text.n >= SN_SWAP_WHY || (text.n > 0 && memchr(text.p, '\0', text.n) != NULL))
        return false;
    if (text.n > 0)
        memcpy(out, text.p, text.n);
    out[text.n] = '\0';
    return true;
}

static bool read_record(struct slice text, struct sn_swap *out)
{
    struct sn_swap_entry *e = &out->entry;
    uint64_t blank, value, decided;
    *out = (struct sn_swap){.promised = 0};
    if (!read_number(&text, 1, &blank) || !read_number(&text, INT64_MAX, &out->promised) ||
        !read_number(&text, INT64_MAX, &out->accepted) || !read_number(&text, SN_SWAP_ABORT, &value) ||
        !read_number(&text, 1, &decided) || !read_step(&text, &e->step) || !read_step(&text, &e->before) ||
        !read_number(&text, INT64_MAX, &e->request))
        return false;
    out->blank = blank != 0;
    e->value = (enum sn_swap_value)value;
    e->decided = decided != 0;
    struct slice asker = slice_cut(&text, ',');
    return (slice_is(asker, "-") || runid_parse(asker, e->asker)) && read_why(text, e->why) && sn_swap_is_sane(out);
}

static bool read_verb(struct slice s, enum sn_swap_verb *out)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (slice_ieq(s, verbs[i])) {
            *out = (enum sn_swap_verb)i;
            return true;
        }
    }
    return false;
}

static bool read_epoch(struct slice s, uint64_t *out)
{
    return read_number(&s, INT64_MAX, out);
}

/* They are kept as text. */
static bool read_lists(struct slice s, struct slice *out)
{
    *out = s;
    return s.n == 0 || memchr(s.p, '\0', s.n) == NULL;
}

/* ---- who asks ---- */

void wire_swap_request(struct wire_request *q, const char *id, uint64_t epoch, const char *fleet,
                       const struct sn_swap_word *w)
{
    struct buf record = {0};
    char *lists = slice_dup(w->lists);
    put_record(&record, &w->has);
    wire_word(q, "SENTINEL");
    wire_word(q, "MAPPING");
    wire_word(q, id);
    wire_unsigned(q, epoch);
    wire_word(q, fleet);
    wire_word(q, verbs[w->verb]);
    wire_unsigned(q, w->list);
    wire_unsigned(q, w->epoch);
    wire_unsigned(q, w->config);
    wire_word(q, buf_str(&record));
    wire_word(q, lists);
    free(lists);
    buf_free(&record);
}

bool wire_swap_answer(const redisReply *reply, struct wire_swap *out)
{
    struct slice word[WORDS];
    uint64_t yes;
    *out = (struct wire_swap){.epoch = 0};
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != WORDS)
        return false;
    for (size_t i = 0; i < WORDS; i++) {
        if (reply->element[i]->type != REDIS_REPLY_STRING)
            return false;
        word[i] = (struct slice){reply->element[i]->str, reply->element[i]->len};
    }
    struct sn_swap_word *w = &out->word;
    if (!runid_parse(word[0], out->id) || !read_epoch(word[1], &out->epoch) || !read_verb(word[3], &w->verb) ||
        !read_epoch(word[4], &w->list) || !read_epoch(word[5], &w->epoch) || !read_number(&word[6], 1, &yes) ||
        !read_record(word[7], &w->has) || !read_lists(word[8], &w->lists))
        return false;
    out->fleet = word[2];
    w->yes = yes != 0;
    return true;
}

/* ---- who is asked ---- */

const char *wire_swap_decode(const struct slice *argv, size_t argc, struct wire_swap *out)
{
    *out = (struct wire_swap){.epoch = 0};
    struct sn_swap_word *w = &out->word;
    if (argc != WORDS)
        return "wrong number of arguments for 'sentinel|mapping' command";
    if (!runid_parse(argv[0], out->id))
        return "Invalid supervisor id in SENTINEL MAPPING";
    if (!read_epoch(argv[1], &out->epoch) || !read_epoch(argv[4], &w->list) || !read_epoch(argv[5], &w->epoch) ||
        !read_epoch(argv[6], &w->config))
        return "Invalid epoch or version in SENTINEL MAPPING";
    if (!read_verb(argv[3], &w->verb))
        return "Unknown verb in SENTINEL MAPPING: expected STAND, ACCEPT or TELL";
    if (!read_record(argv[7], &w->has))
        return "Invalid record in SENTINEL MAPPING";
    if (!read_lists(argv[8], &w->lists))
        return "Invalid lists of supervisors in SENTINEL MAPPING";
    out->fleet = argv[2];
    return NULL;
}

static void put_number(struct reply *r, uint64_t v)
{
    reply_bulkf(r, "%" PRIu64, v);
}

void wire_swap_reply(struct reply *r, const char *id, uint64_t epoch, const char *fleet, const struct sn_swap_word *w)
{
    struct buf record = {0};
    put_record(&record, &w->has);
    reply_array(r, WORDS);
    reply_bulks(r, id);
    put_number(r, epoch);
    reply_bulks(r, fleet);
    reply_bulks(r, verbs[w->verb]);
    put_number(r, w->list);
    put_number(r, w->epoch);
    put_number(r, w->yes);
    reply_bulks(r, buf_str(&record));
    reply_bulk(r, w->lists.p, w->lists.n);
    buf_free(&record);
}
