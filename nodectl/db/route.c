#include "nodectl/db/route.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/interrupt.h"
#include "noded/store/keyspace.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_REQUESTS 512 /* under way at one node */
#define WINDOW_BYTES ((size_t)1 << 20)
#define WORDS_MAX 16
#define SEND_EVERY 64 /* requests, so that a node works while others are made */
#define PAUSE_MS 50
#define PATIENCE_MS 20000 /* of pauses without an answer between them */
#define REDIRECTS_MAX 16

struct route_request {
    struct route_request *next;
    char *text; /* as it is sent; NULL: SELECT or ASKING, whose answer nobody wants */
    size_t n;
    struct slice key; /* in text */
    int64_t db;
    int redirects;
};

struct route_node {
    struct node_link link;
    int64_t db; /* selected by the last request that was put */
    struct route_request *first, **end;
    size_t requests, bytes;
};

/* ---- nodes ---- */

static int16_t node_at(struct route *r, const struct addr *a)
{
    for (size_t i = 0; i < r->n; i++)
        if (addr_eq(&r->v[i].link.addr, a))
            return (int16_t)i;
    r->v = mem_array(r->v, r->n + 1, sizeof *r->v);
    r->v[r->n] = (struct route_node){.link = {.addr = *a}};
    for (size_t i = 0; i <= r->n; i++) /* the array has moved */
        if (r->v[i].first == NULL)
            r->v[i].end = &r->v[i].first;
    return (int16_t)r->n++;
}

static void take_owners(struct route *r)
{
    const struct picture *p = r->picture;
    for (size_t s = 0; s < SN_SLOTS; s++)
        r->at[s] = p->owner[s] >= 0 ? node_at(r, &p->v[p->owner[s]].addr) : -1;
}

void route_begin(struct route *r)
{
    r->later_end = &r->later;
    take_owners(r);
}

static void request_free(struct route_request *q)
{
    free(q->text);
    free(q);
}

static void requests_free(struct route_request *q)
{
    for (struct route_request *next; q != NULL; q = next) {
        next = q->next;
        request_free(q);
    }
}

void route_free(struct route *r)
{
    for (size_t i = 0; i < r->n; i++) {
        requests_free(r->v[i].first);
        node_link_free(&r->v[i].link);
    }
    requests_free(r->later);
    free(r->v);
    buf_free(&r->error);
    buf_free(&r->why_later);
    r->v = NULL;
    r->n = 0;
    r->later = NULL;
}

static bool fail(struct route *r, const struct route_node *node, const char *why)
{
    char text[ADDR_TEXT_MAX];
    if (r->error.n == 0)
        buf_printf(&r->error, "%s: %s", node != NULL ? addr_text(&node->link.addr, text) : "the cluster", why);
    return false;
}

/* ---- requests ---- */

static void add(struct route_node *node, struct route_request *q)
{
    q->next = NULL;
    *node->end = q;
    node->end = &q->next;
    node->requests++;
    node->bytes += q->n;
}

static struct route_request *cut(struct route_node *node)
{
    struct route_request *q = node->first;
    node->first = q->next;
    if (node->first == NULL)
        node->end = &node->first;
    node->requests--;
    node->bytes -= q->n;
    return q;
}

static void put_later(struct route *r, struct route_request *q, const struct route_node *node, const char *why)
{
    char text[ADDR_TEXT_MAX];
    buf_clear(&r->why_later);
    buf_printf(&r->why_later, "%s: %s", node != NULL ? addr_text(&node->link.addr, text) : "its slot", why);
    q->next = NULL;
    q->redirects = 0;
    *r->later_end = q;
    r->later_end = &q->next;
}

static void put_word(struct route_node *node, const char *word, const char *argument)
{
    struct slice words[] = {slice_of(word), slice_of(argument)};
    node_link_put(&node->link, argument != NULL ? 2 : 1, words);
    add(node, mem_zalloc(sizeof(struct route_request)));
}

static bool lost(struct route *r, struct route_node *node)
{
    if (!r->repeatable)
        return fail(r, node, buf_str(&node->link.error));
    while (node->first != NULL) {
        struct route_request *q = cut(node);
        if (q->text != NULL)
            put_later(r, q, node, buf_str(&node->link.error));
        else
            request_free(q);
    }
    return true;
}

/* Puts it into the node's queue; a node that cannot be reached leaves it for later. */
static void put(struct route *r, struct route_node *node, struct route_request *q, bool asking)
{
    if (node->link.c == NULL) {
        struct addr addr = node->link.addr;
        if (!node_link_open(&node->link, r->picture->asking, &addr)) {
            put_later(r, q, node, buf_str(&node->link.error));
            return;
        }
        node->db = 0;
    }
    if (node->db != q->db) {
        char number[24];
        snprintf(number, sizeof number, "%lld", (long long)q->db);
        put_word(node, "SELECT", number);
        node->db = q->db;
    }
    if (asking)
        put_word(node, "ASKING", NULL);
    node_link_put_ready(&node->link, q->text, q->n);
    add(node, q);
}

static void put_by_slot(struct route *r, struct route_request *q)
{
    int16_t at = r->at[nd_key_slot(q->key)];
    if (at < 0)
        put_later(r, q, NULL, "nobody owns it");
    else
        put(r, &r->v[at], q, false);
}

/* ---- answers ---- */

static bool begins(const redisReply *reply, const char *word)
{
    size_t n = strlen(word);
    return reply->type == REDIS_REPLY_ERROR && (size_t)reply->len >= n && memcmp(reply->str, word, n) == 0;
}

/* "MOVED <slot> <host>:<port>"; no host: the one that said it. */
static bool redirected_to(const struct route_node *node, const redisReply *reply, int64_t *slot, struct addr *to)
{
    struct slice rest = {reply->str, (size_t)reply->len};
    slice_cut(&rest, ' ');
    if (!text_range(slice_cut(&rest, ' '), 0, SN_SLOTS - 1, slot))
        return false;
    struct buf whole = {0};
    if (rest.n > 0 && rest.p[0] == ':')
        buf_puts(&whole, node->link.addr.host);
    buf_put(&whole, rest.p, rest.n);
    bool ok = addr_parse(buf_slice(&whole), to);
    buf_free(&whole);
    return ok;
}

static bool obey(struct route *r, size_t i, struct route_request *q, const redisReply *reply)
{
    int64_t slot;
    struct addr to;
    bool moved = begins(reply, "MOVED ");
    if (++q->redirects > REDIRECTS_MAX || !redirected_to(&r->v[i], reply, &slot, &to)) {
        put_later(r, q, &r->v[i], reply->str);
        return true;
    }
    int16_t at = node_at(r, &to);
    if (moved)
        r->at[slot] = at;
    put(r, &r->v[at], q, !moved);
    return true;
}

static bool is_passing(const redisReply *reply)
{
    static const char *const words[] = {"TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY", "NOREPLICAS"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (begins(reply, words[i]))
            return true;
    return false;
}

static bool told(struct route *r, size_t i, struct route_request *q, const redisReply *reply)
{
    struct buf why = {0};
    r->stuck_ms = 0;
    bool ok = r->answered(r->owner, q->key, q->db, reply, &why);
    if (!ok)
        fail(r, &r->v[i], buf_str(&why));
    buf_free(&why);
    request_free(q);
    return ok;
}

/* The answer to the node's oldest request. */
static bool take(struct route *r, size_t i)
{
    redisReply *reply = node_link_get(&r->v[i].link);
    if (reply == NULL)
        return lost(r, &r->v[i]);
    struct route_request *q = cut(&r->v[i]);
    bool ok = true;
    if (q->text == NULL) {
        ok = reply->type != REDIS_REPLY_ERROR || fail(r, &r->v[i], reply->str);
        request_free(q);
    } else if (begins(reply, "MOVED ") || begins(reply, "ASK ")) {
        ok = obey(r, i, q, reply);
    } else if (is_passing(reply)) {
        put_later(r, q, &r->v[i], reply->str);
    } else {
        ok = told(r, i, q, reply);
    }
    freeReplyObject(reply);
    return ok;
}

static bool drain(struct route *r, size_t i, size_t requests, size_t bytes)
{
    while (r->v[i].requests > 0 && (r->v[i].requests > requests || r->v[i].bytes > bytes))
        if (!take(r, i))
            return false;
    return true;
}

/* ---- again ---- */

static bool again(struct route *r)
{
    int64_t now_ms = fleet_now_ms();
    struct buf why = {0};
    if (r->stuck_ms == 0) {
        r->stuck_ms = now_ms;
    } else if (now_ms - r->stuck_ms > PATIENCE_MS) {
        buf_puts(&r->why_later, " (for 20 seconds)");
        buf_puts(&r->error, buf_str(&r->why_later));
        return false;
    }
    (void)interrupt_sleep(PAUSE_MS);
    if (picture_again(r->picture, &why))
        take_owners(r);
    buf_free(&why);
    struct route_request *q = r->later;
    r->later = NULL;
    r->later_end = &r->later;
    for (struct route_request *next; q != NULL; q = next) {
        next = q->next;
        put_by_slot(r, q);
    }
    return true;
}

static struct route_request *make_request(int64_t db, size_t key, size_t argc, const struct slice *argv)
{
    const char *p[WORDS_MAX];
    size_t n[WORDS_MAX], at;
    char *text = NULL, head[32];
    assert(key < argc && argc <= WORDS_MAX);
    for (size_t i = 0; i < argc; i++) {
        p[i] = argv[i].n > 0 ? argv[i].p : "";
        n[i] = argv[i].n;
    }
    int length = redisFormatCommandArgv(&text, (int)argc, p, n);
    if (length < 0)
        mem_fail(0);
    /* Where the key stands in the text: behind the head, and each word before it. */
    at = (size_t)snprintf(head, sizeof head, "*%zu\r\n", argc);
    for (size_t i = 0; i < key; i++)
        at += (size_t)snprintf(head, sizeof head, "$%zu\r\n", argv[i].n) + argv[i].n + 2;
    at += (size_t)snprintf(head, sizeof head, "$%zu\r\n", argv[key].n);
    struct route_request *q = mem_zalloc(sizeof *q);
    *q = (struct route_request){.text = text, .n = (size_t)length, .key = {text + at, argv[key].n}, .db = db};
    return q;
}

bool route_send(struct route *r, int64_t db, size_t key, size_t argc, const struct slice *argv)
{
    if (r->error.n > 0)
        return false;
    struct route_request *q = make_request(db, key, argc, argv);
    int slot = nd_key_slot(q->key);
    put_by_slot(r, q);
    int16_t to = r->at[slot];
    if (to >= 0 && (r->v[to].requests > WINDOW_REQUESTS || r->v[to].bytes > WINDOW_BYTES))
        return drain(r, (size_t)to, WINDOW_REQUESTS / 2, WINDOW_BYTES / 2);
    if (to >= 0 && r->v[to].requests % SEND_EVERY == 0 && r->v[to].requests > 0 && !node_link_send(&r->v[to].link) &&
        !lost(r, &r->v[to]))
        return false;
    /* Too much waits for somebody: first that. */
    return r->later == NULL || route_flush(r);
}

bool route_flush(struct route *r)
{
    for (;;) {
        if (r->error.n > 0)
            return false;
        for (size_t i = 0; i < r->n; i++)
            if (r->v[i].requests > 0 && !node_link_send(&r->v[i].link) && !lost(r, &r->v[i]))
                return false;
        bool any = false;
        for (size_t i = 0; i < r->n; i++) {
            any = any || r->v[i].requests > 0;
            if (!drain(r, i, 0, 0))
                return false;
        }
        if (!any && r->later == NULL)
            return true;
        if (r->later != NULL && (interrupted() ? !fail(r, NULL, "it was interrupted") : !again(r)))
            return false;
    }
}
