#include "sentineld/shell/client.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/io/log.h"
#include "sentineld/shell/client_inner.h"
#include "sentineld/shell/clients.h"
#include "sentineld/shell/cmd_sentinel.h"
#include "sentineld/shell/wire_swap.h"

/* A place in a client's queue: an answer that is due, followed by everything that was replied after it. */
struct slot {
    struct slot *next;
    struct client *c;
    sn_token token;
    enum client_answer how;
    bool ready;
    bool muted; /* CLIENT REPLY OFF or SKIP: the answer is thrown away */
    int proto;  /* of the time when it was asked */
    struct buf answer;
    struct buf behind;
};

static struct slice token_key(const sn_token *token)
{
    return (struct slice){(const char *)token, sizeof *token};
}

sn_token client_defer(struct call *call, enum client_answer how)
{
    struct client *c = call->c;
    struct slot *s = mem_zalloc(sizeof *s);
    s->c = c;
    s->token = ++c->all->next_token;
    s->how = how;
    s->proto = c->proto;
    s->muted = c->reply_mode == CLIENT_REPLY_OFF || c->reply_mode == CLIENT_REPLY_SKIP;
    if (c->last_slot != NULL)
        c->last_slot->next = s;
    else
        c->first_slot = s;
    c->last_slot = s;
    c->waiting++;
    map_put(&c->all->waiting, token_key(&s->token), s);
    call->deferred = true;
    return s->token;
}

static void put_out(struct client *c, const struct buf *b)
{
    if (b->n > 0 && c->stream != NULL)
        buf_put(io_stream_out(c->stream), b->p, b->n);
}

static void slot_free(struct slot *s)
{
    buf_free(&s->answer);
    buf_free(&s->behind);
    free(s);
}

/* Lets out what no longer waits for anything. */
static void let_out(struct client *c)
{
    while (c->first_slot != NULL && c->first_slot->ready) {
        struct slot *s = c->first_slot;
        put_out(c, &s->answer);
        put_out(c, &s->behind);
        c->queued -= s->answer.n + s->behind.n;
        c->first_slot = s->next;
        if (c->first_slot == NULL)
            c->last_slot = NULL;
        slot_free(s);
    }
    if (c->first_slot == NULL && c->close_drained && c->stream != NULL)
        io_stream_close_written(c->stream, 0);
    client_go_on(c);
}

static void write_answer(struct slot *s, const struct sn_effect *e)
{
    struct reply r = {&s->answer, s->proto};
    if (e->kind == SN_FX_ANSWER_BALLOTS) {
        if (s->how == CLIENT_ANSWER_BALLOT)
            wire_ballot_reply(&r, e->text, e->epoch, e->opinions, e->count);
        else if (e->count > 0)
            wire_ask_reply(&r, &e->opinions[0]);
        else
            wire_ask_reply(&r, &(struct sn_opinion){.down = false});
        return;
    }
    if (e->kind == SN_FX_ANSWER_SWAP) {
        wire_swap_reply(&r, e->text, e->epoch, e->group, e->swap);
        return;
    }
    switch (e->answer) {
    case SN_ANSWER_OK: reply_status(&r, "OK"); break;
    case SN_ANSWER_INT: reply_int(&r, e->number); break;
    case SN_ANSWER_ERROR:
        reply_error(&r, "%s", e->text != NULL ? e->text : "ERR refused");
        s->c->all->total_errors++;
        break;
    }
}

void clients_answer_by(struct clients *all, uint64_t token, void (*write)(struct reply *r, void *arg), void *arg)
{
    struct slot *s = map_del(&all->waiting, token_key(&token));
    if (s == NULL)
        return; /* whoever asked has gone */
    struct client *c = s->c;
    s->ready = true;
    c->waiting--;
    if (!s->muted) {
        struct reply r = {&s->answer, s->proto};
        write(&r, arg);
        c->queued += s->answer.n;
        all->net_output += (int64_t)s->answer.n;
    }
    let_out(c);
}

void clients_answer(struct clients *all, const struct sn_effect *e)
{
    bool done = e->answer == SN_ANSWER_OK;
    size_t removed = users_settle(all->d->users, e->token, done, clients_user_changed, all);
    struct slot *s = map_del(&all->waiting, token_key(&e->token));
    if (s == NULL)
        return; /* whoever asked has gone */
    struct client *c = s->c;
    c->fenced = false;
    s->ready = true;
    c->waiting--;
    if (s->how == CLIENT_ANSWER_CONFIG && done)
        cmd_config_applied(all->d);
    if (!s->muted) {
        if (s->how == CLIENT_ANSWER_USERS && done)
            reply_int(&(struct reply){&s->answer, s->proto}, (int64_t)removed);
        else
            write_answer(s, e);
        c->queued += s->answer.n;
        all->net_output += (int64_t)s->answer.n;
    }
    let_out(c);
}

struct buf *client_tail(struct client *c)
{
    if (c->last_slot != NULL)
        return &c->last_slot->behind;
    return c->stream != NULL ? io_stream_out(c->stream) : NULL;
}

void client_check_queue(struct client *c)
{
    if (c->queued <= CLIENT_OUT_MAX || c->doomed)
        return;
    io_log(IO_WARNING, "Client id=%lld %s closed: %zu bytes wait behind an answer that is due; %zu are allowed.",
           (long long)c->id, c->addr, c->queued, CLIENT_OUT_MAX);
    client_close(c, false);
}

void client_push(struct client *c, const void *p, size_t n)
{
    struct buf *tail = c->closing ? NULL : client_tail(c);
    if (tail == NULL)
        return;
    buf_put(tail, p, n);
    c->all->net_output += (int64_t)n;
    if (c->last_slot != NULL)
        c->queued += n;
    client_check_queue(c);
}

size_t client_unsent(const struct client *c)
{
    return c->queued + (c->stream != NULL ? io_stream_unsent(c->stream) : 0);
}

void client_slots_free(struct client *c)
{
    while (c->first_slot != NULL) {
        struct slot *s = c->first_slot;
        c->first_slot = s->next;
        if (!s->ready)
            map_del(&c->all->waiting, token_key(&s->token));
        slot_free(s);
    }
    c->last_slot = NULL;
    c->waiting = c->queued = 0;
}
