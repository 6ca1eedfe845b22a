/* A server waits some seconds (repl-diskless-sync-delay) before it makes a snapshot, as more replicas may come. Nothing
 * else is waiting here but writers, at the cut-over, when both sides make a snapshot each to be compared. */
#include "nodectl/import/import.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/db/about.h"

#include <stdio.h>

#define NAME "repl-diskless-sync-delay"

/* -1: it does not say. */
static int64_t delay_of(const struct asking *a, const struct addr *addr)
{
    struct node_link link = {.c = NULL};
    struct buf why = {0};
    int64_t seconds = -1;
    redisReply *r = node_link_open(&link, a, addr) ? node_link_ask(&link, &why, "CONFIG", "GET", NAME, (char *)NULL)
                                                   : NULL;
    if (r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements == 2 && r->element[1]->type == REDIS_REPLY_STRING)
        (void)text_range((struct slice){r->element[1]->str, (size_t)r->element[1]->len}, 0, INT32_MAX, &seconds);
    freeReplyObject(r);
    node_link_free(&link);
    buf_free(&why);
    return seconds;
}

static bool set_delay(const struct import_delay *d, int64_t seconds)
{
    struct node_link link = {.c = NULL};
    struct buf why = {0};
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)seconds);
    redisReply *r = node_link_open(&link, d->asking, &d->addr)
                        ? node_link_ask(&link, &why, "CONFIG", "SET", NAME, number, (char *)NULL)
                        : NULL;
    bool ok = r != NULL;
    freeReplyObject(r);
    node_link_free(&link);
    buf_free(&why);
    return ok;
}

static void look(struct import *im, const struct asking *a, const struct addr *addr)
{
    int64_t seconds = delay_of(a, addr);
    if (seconds <= 0)
        return;
    im->delays = mem_array(im->delays, im->ndelays + 1, sizeof *im->delays);
    im->delays[im->ndelays++] = (struct import_delay){.asking = a, .addr = *addr, .before_s = seconds};
}

void import_delays_look(struct import *im)
{
    const struct picture_node *n;
    for (size_t i = 0; i < im->n; i++)
        look(im, &im->source_asking, &im->v[i].addr);
    for (size_t i = 0; (n = about_next_master(&im->target, &i)) != NULL;)
        look(im, im->asking, &n->addr);
}

void import_delays_drop(struct import *im)
{
    for (size_t i = 0; i < im->ndelays; i++)
        im->delays[i].changed = set_delay(&im->delays[i], 0);
}

void import_delays_put_back(struct import *im)
{
    for (size_t i = 0; i < im->ndelays; i++)
        if (im->delays[i].changed)
            im->delays[i].changed = !set_delay(&im->delays[i], im->delays[i].before_s);
}
