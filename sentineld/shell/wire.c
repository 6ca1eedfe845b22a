#include "sentineld/shell/wire.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>

#define WORDS_PER_BALLOT 8

static const char *const verbs[] = {
    [SN_BALLOT_DOWN] = "DOWN",         [SN_BALLOT_UP] = "UP", [SN_BALLOT_VOTE] = "VOTE", [SN_BALLOT_CANCEL] = "CANCEL",
    [SN_BALLOT_RETURNED] = "RETURNED",
};

/* ---- the asker's side ---- */

static void end_word(struct wire_request *q)
{
    q->ends = mem_grow(q->ends, q->n, &q->cap, sizeof *q->ends);
    q->ends[q->n++] = q->text.n;
}

void wire_word(struct wire_request *q, const char *word)
{
    buf_puts(&q->text, word);
    end_word(q);
}

void wire_number(struct wire_request *q, int64_t number)
{
    buf_printf(&q->text, "%lld", (long long)number);
    end_word(q);
}

void wire_unsigned(struct wire_request *q, uint64_t number)
{
    buf_printf(&q->text, "%llu", (unsigned long long)number);
    end_word(q);
}

const struct slice *wire_argv(struct wire_request *q)
{
    if (q->argv_cap < q->cap) {
        q->argv = mem_array(q->argv, q->cap, sizeof *q->argv);
        q->argv_cap = q->cap;
    }
    size_t start = 0;
    for (size_t i = 0; i < q->n; i++) {
        q->argv[i] = (struct slice){q->text.p == NULL ? "" : q->text.p + start, q->ends[i] - start};
        start = q->ends[i];
    }
    return q->argv;
}

void wire_request_clear(struct wire_request *q)
{
    buf_clear(&q->text);
    q->n = 0;
}

void wire_request_free(struct wire_request *q)
{
    buf_free(&q->text);
    free(q->ends);
    free(q->argv);
    *q = (struct wire_request){.n = 0};
}

void wire_ballot_request(struct wire_request *q, const char *id, uint64_t epoch, const struct sn_ballot *ballots,
                         size_t n)
{
    wire_word(q, "SENTINEL");
    wire_word(q, "BALLOT");
    wire_word(q, id);
    wire_unsigned(q, epoch);
    for (size_t i = 0; i < n; i++) {
        const struct sn_ballot *b = &ballots[i];
        wire_word(q, verbs[b->verb]);
        wire_number(q, b->ordered ? 2 + b->down : b->down);
        wire_word(q, b->group == NULL ? "" : b->group);
        wire_word(q, b->master.host);
        wire_number(q, b->master.port);
        wire_unsigned(q, b->epoch);
        wire_word(q, b->candidate.host);
        wire_number(q, b->candidate.port);
    }
}

void wire_ask_request(struct wire_request *q, const char *id, uint64_t epoch, const struct sn_ballot *ballot)
{
    bool vote = ballot->verb == SN_BALLOT_VOTE;
    wire_word(q, "SENTINEL");
    wire_word(q, "IS-MASTER-DOWN-BY-ADDR");
    wire_word(q, ballot->master.host);
    wire_number(q, ballot->master.port);
    wire_unsigned(q, vote ? ballot->epoch : epoch);
    wire_word(q, vote ? id : "*");
}

/* A string of either kind: stock sends bulks, a proxy may make status lines of them. */
static bool reply_text(const redisReply *r, struct slice *out)
{
    if (r->type != REDIS_REPLY_STRING && r->type != REDIS_REPLY_STATUS)
        return false;
    *out = (struct slice){r->str, r->len};
    return true;
}

static bool reply_epoch(const redisReply *r, uint64_t *out)
{
    if (r->type != REDIS_REPLY_INTEGER || r->integer < 0)
        return false;
    *out = (uint64_t)r->integer;
    return true;
}

/* It goes to a node as one word of a request, so only its signs are looked at here. */
static bool read_grant(const redisReply *r, char out[SN_GRANT_TEXT])
{
    struct slice text;
    if (!reply_text(r, &text) || text.n >= SN_GRANT_TEXT)
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (memchr("0123456789abcdef/", text.p[i], 17) == NULL)
            return false;
    memcpy(out, text.p, text.n);
    out[text.n] = '\0';
    return true;
}

static bool read_opinion(const redisReply *r, struct sn_opinion *out)
{
    *out = (struct sn_opinion){.down = false};
    struct slice leader;
    if (r->type != REDIS_REPLY_ARRAY || r->elements < 3 || r->elements > 4 ||
        r->element[0]->type != REDIS_REPLY_INTEGER || !reply_text(r->element[1], &leader) ||
        !reply_epoch(r->element[2], &out->leader_epoch))
        return false;
    if (r->elements == 4 && !read_grant(r->element[3], out->grant))
        return false;
    out->down = r->element[0]->integer == 1;
    return slice_is(leader, "*") || runid_parse(leader, out->leader);
}

bool wire_ballot_answer(const redisReply *reply, struct wire_answer *out)
{
    *out = (struct wire_answer){.n = 0};
    struct slice id;
    struct wire_answer answer = {.n = 0};
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 || !reply_text(reply->element[0], &id) ||
        !runid_parse(id, answer.id) || !reply_epoch(reply->element[1], &answer.epoch) ||
        reply->element[2]->type != REDIS_REPLY_ARRAY)
        return false;
    const redisReply *list = reply->element[2];
    answer.opinions = mem_array(NULL, list->elements, sizeof *answer.opinions);
    for (; answer.n < list->elements; answer.n++) {
        if (!read_opinion(list->element[answer.n], &answer.opinions[answer.n])) {
            wire_answer_free(&answer);
            return false;
        }
    }
    *out = answer;
    return true;
}

bool wire_ask_answer(const redisReply *reply, struct wire_answer *out)
{
    *out = (struct wire_answer){.n = 0};
    struct sn_opinion opinion;
    if (!read_opinion(reply, &opinion))
        return false;
    out->opinions = mem_array(NULL, 1, sizeof *out->opinions);
    out->opinions[0] = opinion;
    out->n = 1;
    return true;
}

void wire_answer_free(struct wire_answer *a)
{
    free(a->opinions);
    *a = (struct wire_answer){.n = 0};
}

/* ---- the side that is asked ---- */

/* Epochs travel as signed integers in replies, so one that would not fit there is not taken in either. */
static bool read_epoch(struct slice s, uint64_t *out)
{
    int64_t v;
    if (!text_range(s, 0, INT64_MAX, &v))
        return false;
    *out = (uint64_t)v;
    return true;
}

static bool read_verb(struct slice s, enum sn_ballot_verb *out)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (slice_ieq(s, verbs[i])) {
            *out = (enum sn_ballot_verb)i;
            return true;
        }
    }
    return false;
}

static bool read_host_port(struct slice host, struct slice port, struct addr *out)
{
    int64_t number;
    return text_range(port, 1, 65535, &number) && addr_set(out, host, number);
}

/* The eight words of one ballot. The group's name is copied to *names, which moves behind its terminator. */
static const char *read_ballot(const struct slice *w, struct sn_ballot *b, char **names)
{
    *b = (struct sn_ballot){.down = false};
    if (!read_verb(w[0], &b->verb))
        return "Unknown verb in SENTINEL BALLOT: expected DOWN, UP, VOTE, CANCEL or RETURNED";
    int64_t flags;
    if (!text_range(w[1], 0, 3, &flags))
        return "Invalid down flag in SENTINEL BALLOT: expected 0 or 1, and 2 more for what an operator ordered";
    b->down = flags & 1;
    b->ordered = flags & 2;
    if (w[2].n == 0 || memchr(w[2].p, 0, w[2].n) != NULL)
        return "Invalid group name in SENTINEL BALLOT";
    if (!read_host_port(w[3], w[4], &b->master))
        return "Invalid master address in SENTINEL BALLOT";
    if (!read_epoch(w[5], &b->epoch))
        return "Invalid epoch in SENTINEL BALLOT";
    bool none = w[6].n == 0 && slice_is(w[7], "0");
    if (!none && !read_host_port(w[6], w[7], &b->candidate))
        return "Invalid candidate address in SENTINEL BALLOT";
    b->group = *names;
    memcpy(*names, w[2].p, w[2].n);
    (*names)[w[2].n] = '\0';
    *names += w[2].n + 1;
    return NULL;
}

const char *wire_ballot_decode(const struct slice *argv, size_t argc, struct wire_ballots *out)
{
    *out = (struct wire_ballots){.n = 0};
    if (argc < 2 || (argc - 2) % WORDS_PER_BALLOT != 0)
        return "wrong number of arguments for 'sentinel|ballot' command";
    size_t n = (argc - 2) / WORDS_PER_BALLOT;
    if (n > WIRE_BALLOTS_MAX)
        return "Too many masters in one SENTINEL BALLOT";
    struct wire_ballots got = {.n = 0};
    if (!runid_parse(argv[0], got.id))
        return "Invalid supervisor id in SENTINEL BALLOT";
    if (!read_epoch(argv[1], &got.epoch))
        return "Invalid epoch in SENTINEL BALLOT";
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += argv[2 + i * WORDS_PER_BALLOT + 2].n + 1;
    got.names = mem_alloc(bytes);
    got.ballots = mem_array(NULL, n, sizeof *got.ballots);
    char *names = got.names;
    for (; got.n < n; got.n++) {
        const char *why = read_ballot(argv + 2 + got.n * WORDS_PER_BALLOT, &got.ballots[got.n], &names);
        if (why != NULL) {
            wire_ballots_free(&got);
            return why;
        }
    }
    *out = got;
    return NULL;
}

const char *wire_ask_decode(const struct slice *argv, size_t argc, struct wire_ballots *out)
{
    static const char not_a_number[] = "value is not an integer or out of range";
    *out = (struct wire_ballots){.n = 0};
    if (argc != 4)
        return "wrong number of arguments for 'sentinel|is-master-down-by-addr' command";
    struct sn_ballot b = {.verb = SN_BALLOT_DOWN};
    int64_t port;
    if (!text_range(argv[1], INT32_MIN, INT32_MAX, &port) || !read_epoch(argv[2], &b.epoch))
        return not_a_number;
    /* An address that no server can have belongs to no master, which is an answer and no error, as in stock. */
    if (port < 1 || port > 65535 || !addr_set(&b.master, argv[0], port))
        b.master = (struct addr){.port = 0};
    if (!slice_is(argv[3], "*")) {
        if (!runid_parse(argv[3], out->id))
            return "Invalid run id in SENTINEL IS-MASTER-DOWN-BY-ADDR: expected 40 hexadecimal digits or *";
        b.verb = SN_BALLOT_VOTE;
    }
    out->epoch = b.epoch;
    out->ballots = mem_array(NULL, 1, sizeof *out->ballots);
    out->ballots[0] = b;
    out->n = 1;
    return NULL;
}

void wire_ballots_free(struct wire_ballots *b)
{
    free(b->ballots);
    free(b->names);
    *b = (struct wire_ballots){.n = 0};
}

void wire_ask_reply(struct reply *r, const struct sn_opinion *opinion)
{
    reply_array(r, opinion->grant[0] != '\0' ? 4 : 3);
    reply_int(r, opinion->down);
    reply_bulks(r, opinion->leader[0] == '\0' ? "*" : opinion->leader);
    reply_int(r, (int64_t)opinion->leader_epoch);
    if (opinion->grant[0] != '\0')
        reply_bulks(r, opinion->grant);
}

void wire_ballot_reply(struct reply *r, const char *id, uint64_t epoch, const struct sn_opinion *opinions, size_t n)
{
    reply_array(r, 3);
    reply_bulks(r, id);
    reply_int(r, (int64_t)epoch);
    reply_array(r, n);
    for (size_t i = 0; i < n; i++)
        wire_ask_reply(r, &opinions[i]);
}
