#include "nodectl/drill/client.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define AVOID_US 500000   /* a node that was silent or gone is not tried again so soon, if there is another one */
#define EXPIRY_US 1000000 /* the key's time to live is set so often */
#define REFUSALS_MAX 5    /* in a row; then another node is asked who the master is */
#define LOOK_US 500000    /* how often a reader looks whether it still is at a replica */
#define ERRORS_MAX 50     /* different ones */

enum { FOR_AUTH, FOR_READONLY, FOR_SELECT, FOR_WRITE, FOR_EXPIRY, FOR_READ };

size_t places_add(struct places *p, const struct addr *a)
{
    for (size_t i = 0; i < p->n; i++)
        if (addr_eq(&p->v[i].addr, a))
            return i;
    p->v = mem_grow(p->v, p->n, &p->cap, sizeof *p->v);
    p->v[p->n] = (struct place){.addr = *a};
    return p->n++;
}

void client_errors_add(struct client_errors *e, bool reads, const char *text)
{
    size_t i = 0;
    while (i < e->n && (e->v[i].reads != reads || strcmp(e->v[i].text, text) != 0))
        i++;
    if (i == e->n && e->n >= ERRORS_MAX)
        i = e->n - 1;
    if (i == e->n) {
        e->v = mem_grow(e->v, e->n, &e->cap, sizeof *e->v);
        e->v[e->n] = (struct client_error){.reads = reads};
        snprintf(e->v[e->n++].text, sizeof e->v->text, "%s", text);
    }
    e->v[i].count++;
}

void client_init(struct client *c, struct lane *l, struct places *p, struct client_errors *e,
                 const struct client_rules *rules, bool reads, size_t number, int64_t now_us)
{
    *c = (struct client){.lane = l, .places = p, .errors = e, .rules = rules, .reads = reads, .due_us = now_us};
    wire_init(&c->wire);
    c->at = reads && p->n > 1 ? 1 + number % (p->n - 1) : 0;
}

void client_free(struct client *c)
{
    wire_close(&c->wire);
}

/* The next node that is worth a try. A reader does not look at the master while there is another one. */
static void rotate(struct client *c, int64_t now_us)
{
    const struct places *p = c->places;
    assert(p->n > 0);
    for (size_t i = 1; i <= p->n; i++) {
        size_t k = (c->at + i) % p->n;
        if (p->v[k].avoid_until_us > now_us || (c->reads && k == p->master))
            continue;
        c->at = k;
        return;
    }
    if (c->reads)
        c->at = p->master;
    else
        c->at = (c->at + 1) % p->n;
}

static void leave(struct client *c, const char *why, int64_t now_us)
{
    if (!c->reads && c->number > 0)
        c->lane->unanswered++;
    c->number = 0;
    if (c->reads)
        c->lane->read_errors++;
    client_errors_add(c->errors, c->reads, why);
    c->places->v[c->at].avoid_until_us = now_us + AVOID_US;
    wire_close(&c->wire);
    c->lost = true;
    if (c->reads || c->rules->cluster)
        rotate(c, now_us);
    c->due_us = now_us + c->rules->every_us;
}

static void go_to(struct client *c, size_t place, int64_t now_us)
{
    wire_close(&c->wire);
    c->at = place;
    c->refused = 0;
    c->due_us = now_us;
}

void client_told(struct client *c, size_t place, int64_t now_us)
{
    if (c->reads || (place == c->at && c->wire.fd >= 0))
        return;
    if (c->number > 0)
        c->lane->unanswered++;
    c->number = 0;
    go_to(c, place, now_us);
}

static void greet(struct client *c, int64_t now_us)
{
    const struct client_rules *r = c->rules;
    char database[16];
    wire_open(&c->wire, &c->places->v[c->at].addr, now_us);
    if (r->user[0] != '\0')
        wire_ask(&c->wire, FOR_AUTH, 3, (const char *[]){"AUTH", r->user, r->password}, now_us);
    else if (r->password[0] != '\0')
        wire_ask(&c->wire, FOR_AUTH, 2, (const char *[]){"AUTH", r->password}, now_us);
    if (c->reads && r->cluster)
        wire_ask(&c->wire, FOR_READONLY, 1, (const char *[]){"READONLY"}, now_us);
    snprintf(database, sizeof database, "%d", c->lane->database);
    if (c->lane->database > 0)
        wire_ask(&c->wire, FOR_SELECT, 2, (const char *[]){"SELECT", database}, now_us);
    c->expiry_us = 0;
    c->moved_us = now_us;
}

static void ask(struct client *c, int64_t now_us)
{
    char text[24], ttl[24];
    c->asked_us = now_us;
    if (c->reads) {
        wire_ask(&c->wire, FOR_READ, 3, (const char *[]){"LINDEX", c->lane->key, "-1"}, now_us);
        c->due_us = now_us + 2 * c->rules->every_us;
        return;
    }
    c->number = lane_send(c->lane);
    snprintf(text, sizeof text, "%lld", (long long)c->number);
    wire_ask(&c->wire, FOR_WRITE, 3, (const char *[]){"RPUSH", c->lane->key, text}, now_us);
    if (now_us >= c->expiry_us) {
        snprintf(ttl, sizeof ttl, "%lld", (long long)c->rules->ttl_ms);
        wire_ask(&c->wire, FOR_EXPIRY, 3, (const char *[]){"PEXPIRE", c->lane->key, ttl}, now_us);
        c->expiry_us = now_us + EXPIRY_US;
    }
    c->due_us = now_us + c->rules->every_us;
}

/* A reader that has become one of the master's goes to a replica again. */
static bool is_misplaced(struct client *c, int64_t now_us)
{
    const struct places *p = c->places;
    if (!c->reads || c->at != p->master || c->wire.npending > 0 || now_us < c->moved_us + LOOK_US)
        return false;
    c->moved_us = now_us;
    for (size_t i = 0; i < p->n; i++)
        if (i != p->master && p->v[i].avoid_until_us <= now_us)
            return true;
    return false;
}

int64_t client_step(struct client *c, int64_t now_us)
{
    if (is_misplaced(c, now_us)) {
        wire_close(&c->wire);
        rotate(c, now_us);
    }
    bool waits = c->wire.fd >= 0 && (!c->wire.connected || c->wire.npending > 0);
    if (waits && now_us - c->wire.since_us >= c->rules->timeout_us) {
        char why[64];
        snprintf(why, sizeof why, "no answer within %lld ms", (long long)(c->rules->timeout_us / 1000));
        leave(c, why, now_us);
    } else if (waits) {
        return c->wire.since_us + c->rules->timeout_us;
    }
    if (now_us < c->due_us)
        return c->due_us;
    if (c->wire.fd < 0) {
        greet(c, now_us);
        if (c->wire.fd < 0)
            leave(c, c->wire.error, now_us);
        return c->wire.fd < 0 ? c->due_us : now_us + c->rules->timeout_us;
    }
    ask(c, now_us);
    return now_us + c->rules->timeout_us;
}

/* "MOVED slot host:port". false: it is none, or names no place. */
static bool moved_to(struct client *c, const char *text, size_t *place)
{
    struct slice rest = slice_of(text);
    struct addr a;
    struct buf whole = {0};
    if (!slice_is(slice_cut(&rest, ' '), "MOVED"))
        return false;
    slice_cut(&rest, ' ');
    if (rest.n > 0 && rest.p[0] == ':')
        buf_puts(&whole, c->places->v[c->at].addr.host); /* the node does not know its own host */
    buf_put(&whole, rest.p, rest.n);
    bool ok = addr_parse(buf_slice(&whole), &a);
    buf_free(&whole);
    if (ok)
        *place = places_add(c->places, &a);
    return ok;
}

static void refused(struct client *c, int what, const char *text, int64_t now_us)
{
    size_t place;
    bool greeting = what < FOR_WRITE;
    c->number = 0;
    if (c->rules->cluster && moved_to(c, text, &place)) {
        c->lane->redirects++;
        if (c->places->v[place].avoid_until_us <= now_us && place != c->at)
            go_to(c, place, now_us);
        else
            c->due_us = now_us + c->rules->every_us;
        return;
    }
    client_errors_add(c->errors, c->reads, text);
    c->lost = true;
    if (c->reads)
        c->lane->read_errors++;
    else
        c->lane->refused++;
    if (greeting || c->reads || (c->rules->cluster && ++c->refused >= REFUSALS_MAX)) {
        wire_close(&c->wire);
        c->refused = 0;
        if (c->reads || c->rules->cluster)
            rotate(c, now_us);
    }
    c->due_us = now_us + c->rules->every_us * (c->reads ? 2 : 1);
}

static int64_t number_of(const redisReply *r)
{
    int64_t number = 0;
    if (r->type == REDIS_REPLY_STRING)
        (void)text_i64((struct slice){r->str, (size_t)r->len}, &number);
    return number;
}

static void take(struct client *c, int what, const redisReply *r, enum drill_phase phase, int64_t now_us)
{
    if (r->type == REDIS_REPLY_ERROR) {
        if (what != FOR_EXPIRY) /* it goes with a write that was refused for the same reason */
            refused(c, what, r->str, now_us);
    } else if (what == FOR_WRITE) {
        lane_ack(c->lane, c->number, phase, now_us);
        c->number = 0;
        c->refused = 0;
        c->lost = false;
        c->places->master = c->at;
    } else if (what == FOR_READ) {
        lane_read(c->lane, number_of(r), c->asked_us, c->rules->stale_us);
    }
}

void client_serve(struct client *c, short events, enum drill_phase phase, int64_t now_us)
{
    redisReply *r;
    int what = FOR_AUTH;
    if (c->wire.fd < 0)
        return;
    bool open = wire_serve(&c->wire, events, now_us);
    while (open && (r = wire_answer(&c->wire, &what, now_us)) != NULL) {
        take(c, what, r, phase, now_us);
        freeReplyObject(r);
        open = c->wire.fd >= 0;
    }
    if (c->wire.fd < 0 && c->wire.error[0] != '\0')
        leave(c, c->wire.error, now_us);
}
