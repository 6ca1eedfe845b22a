#include "nodectl/db/node_link.h"

#include "common/base/mem.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WORDS_MAX 16
#define PATIENCE_MS 10000 /* at least: a node may be busy with a fork or a big value */

static struct timeval time_of(int ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
}

static void lost(struct node_link *l)
{
    buf_clear(&l->error);
    if (l->c->err == REDIS_ERR_IO && (errno == EAGAIN || errno == ETIMEDOUT))
        buf_puts(&l->error, "it does not answer in time");
    else
        buf_puts(&l->error, l->c->errstr[0] != '\0' ? l->c->errstr : "the connection is lost");
    node_link_close(l);
}

static bool log_in(struct node_link *l, const struct asking *a)
{
    if (a->node_password[0] == '\0')
        return true;
    struct slice words[3] = {slice_of("AUTH")};
    size_t n = 1;
    if (a->node_user[0] != '\0')
        words[n++] = slice_of(a->node_user);
    words[n++] = slice_of(a->node_password);
    struct buf why = {0};
    redisReply *r = node_link_call(l, &why, n, words);
    if (r == NULL) {
        node_link_close(l);
        buf_clear(&l->error);
        buf_puts(&l->error, buf_str(&why));
    } else {
        freeReplyObject(r);
    }
    buf_free(&why);
    return l->c != NULL;
}

static redisContext *connect_to(const struct addr *a, int timeout_ms)
{
    redisContext *c = redisConnectWithTimeout(a->host, a->port, time_of(timeout_ms));
    if (c == NULL)
        mem_fail(sizeof *c);
    return c;
}

bool node_link_open(struct node_link *l, const struct asking *a, const struct addr *addr)
{
    node_link_close(l);
    buf_clear(&l->error);
    (void)signal(SIGPIPE, SIG_IGN); /* hiredis writes to connections that the other side may have closed */
    l->addr = *addr;
    l->c = connect_to(addr, a->timeout_ms);
    if (l->c->err == 0)
        redisSetTimeout(l->c, time_of(a->timeout_ms > PATIENCE_MS ? a->timeout_ms : PATIENCE_MS));
    if (l->c->err != 0) {
        lost(l);
        return false;
    }
    return log_in(l, a);
}

void node_link_close(struct node_link *l)
{
    if (l->c != NULL)
        redisFree(l->c);
    l->c = NULL;
}

void node_link_free(struct node_link *l)
{
    node_link_close(l);
    buf_free(&l->error);
}

void node_link_put(struct node_link *l, size_t argc, const struct slice *argv)
{
    const char *p[WORDS_MAX];
    size_t n[WORDS_MAX];
    for (size_t i = 0; i < argc; i++) {
        p[i] = argv[i].n > 0 ? argv[i].p : "";
        n[i] = argv[i].n;
    }
    if (l->c != NULL)
        redisAppendCommandArgv(l->c, (int)argc, p, n);
}

void node_link_put_ready(struct node_link *l, const char *request, size_t n)
{
    if (l->c != NULL)
        redisAppendFormattedCommand(l->c, request, n);
}

bool node_link_send(struct node_link *l)
{
    int done = 0;
    while (l->c != NULL && done == 0)
        if (redisBufferWrite(l->c, &done) != REDIS_OK)
            lost(l);
    return l->c != NULL;
}

redisReply *node_link_get(struct node_link *l)
{
    void *r = NULL;
    if (l->c == NULL)
        return NULL;
    if (redisGetReply(l->c, &r) != REDIS_OK || r == NULL) {
        lost(l);
        return NULL;
    }
    return r;
}

redisReply *node_link_call(struct node_link *l, struct buf *why, size_t argc, const struct slice *argv)
{
    char text[ADDR_TEXT_MAX];
    node_link_put(l, argc, argv);
    redisReply *r = node_link_get(l);
    if (r != NULL && r->type != REDIS_REPLY_ERROR)
        return r;
    buf_printf(why, "%s: %s", addr_text(&l->addr, text), r != NULL ? r->str : buf_str(&l->error));
    if (r != NULL)
        freeReplyObject(r);
    return NULL;
}

redisReply *node_link_ask(struct node_link *l, struct buf *why, ...)
{
    struct slice words[WORDS_MAX];
    size_t n = 0;
    va_list ap;
    va_start(ap, why);
    for (const char *word; n < WORDS_MAX && (word = va_arg(ap, const char *)) != NULL;)
        words[n++] = slice_of(word);
    va_end(ap);
    return node_link_call(l, why, n, words);
}

bool node_link_select(struct node_link *l, int64_t db, struct buf *why)
{
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)db);
    redisReply *r = node_link_ask(l, why, "SELECT", number, NULL);
    if (r != NULL)
        freeReplyObject(r);
    return r != NULL;
}
