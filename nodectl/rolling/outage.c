#include "nodectl/rolling/outage.h"

#include "common/base/mem.h"
#include "nodectl/interrupt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nodectl/drill/target.h"

#define EVERY_US 2000
#define CLIENT_TIMEOUT_US 500000
#define TTL_MS 600000
#define FIRST_MS 5000
#define LAST_MS 5000
#define LOOK_MS 10

static void ranges_of(const struct picture *p, const struct picture_node *n, struct buf *out)
{
    for (size_t s = 0; s < SN_SLOTS; s++)
        if (picture_is_mine(p, s, n))
            buf_printf(out, "%s%zu", out->n > 0 ? " " : "", s);
}

/* Every lane has had an acknowledgement since canaries_mark(). */
static bool wait_written(const struct outage *o, int ms)
{
    struct canary_sight sight;
    int64_t end_ms = fleet_now_ms() + ms;
    canaries_mark(o->canaries);
    do {
        (void)interrupt_sleep(LOOK_MS);
        canaries_look(o->canaries, &sight);
    } while (sight.silent > 0 && fleet_now_ms() < end_ms);
    return sight.silent == 0;
}

bool outage_begin(struct outage *o, struct node_work *w, const struct picture_node *master, struct buf *why)
{
    struct picture *p = &w->picture;
    struct buf ranges = {0};
    char text[ADDR_TEXT_MAX];
    size_t n = 1;
    *o = (struct outage){.nodes = mem_zalloc(p->n * sizeof *o->nodes)};
    o->nodes[0] = master->addr;
    for (size_t i = 0; i < p->n; i++)
        if (runid_cmp(p->v[i].master_id, master->id) == 0 && !p->v[i].master)
            o->nodes[n++] = p->v[i].addr;
    ranges_of(p, master, &ranges);
    bool tagged = target_tag(buf_str(&ranges), o->tag);
    buf_free(&ranges);
    snprintf(o->id, sizeof o->id, "restart-%lld", (long long)time(NULL));
    o->setup = (struct canary_setup){.id = o->id, .nodes = o->nodes, .nnodes = n, .tag = o->tag, .databases = 1};
    o->setup.rules = (struct client_rules){.user = w->asking.node_user,
                                           .password = w->asking.node_password,
                                           .cluster = true,
                                           .every_us = EVERY_US,
                                           .timeout_us = CLIENT_TIMEOUT_US,
                                           .stale_us = (int64_t)TTL_MS * 1000,
                                           .ttl_ms = TTL_MS};
    o->canaries = tagged ? canaries_start(&o->setup) : NULL;
    if (o->canaries != NULL && wait_written(o, FIRST_MS)) {
        canaries_phase(o->canaries, DRILL_HARM);
        return true;
    }
    buf_printf(why, "no write is acknowledged by the shard of %s", node_text(master, text));
    (void)outage_end(o);
    return false;
}

int64_t outage_end(struct outage *o)
{
    struct canary_sight sight = {.silence_us = 0};
    if (o->canaries != NULL) {
        (void)wait_written(o, LAST_MS);
        canaries_look(o->canaries, &sight);
        canaries_free(o->canaries);
    }
    free(o->nodes);
    o->nodes = NULL;
    o->canaries = NULL;
    return sight.silence_us / 1000;
}
