#include "nodectl/local/ready.h"

#include "nodectl/info.h"
#include "nodectl/interrupt.h"

#define LOOK_MS 15 /* how often is looked */

/* NULL: it is ready, or refuses to tell. */
static const char *missing_of(const struct fleet_member *m)
{
    const redisReply *r = fleet_answer(m);
    struct slice info = {NULL, 0};
    if (r == NULL)
        return m->error != NULL ? m->error : "it does not answer";
    if (r->type == REDIS_REPLY_STRING)
        info = (struct slice){r->str, (size_t)r->len};
    if (info_number(info, "loading", 0) != 0)
        return "it reads its data still";
    if (slice_is(info_field(info, "master_link_status"), "down"))
        return "it has no link to its master";
    return NULL;
}

static void look(const struct asking *a, struct fleet *f, struct buf *missing)
{
    static const char *const info[] = {"INFO"};
    fleet_forget(f);
    for (size_t i = 0; i < f->n; i++) {
        asking_again_node(a, f->members[i]);
        fleet_ask(f->members[i], 1, info);
    }
    fleet_run(f);
    for (size_t i = 0; i < f->n; i++) {
        char text[ADDR_TEXT_MAX];
        const char *what = missing_of(f->members[i]);
        if (what != NULL)
            buf_printf(missing, "%s: %s\n", addr_text(&f->members[i]->addr, text), what);
    }
}

bool ready_wait(const struct layout *l, const struct asking *a, int limit_ms, struct buf *why)
{
    struct fleet f;
    struct buf missing = {0};
    int64_t deadline = fleet_now_ms() + limit_ms;
    bool added;
    fleet_init(&f, a->timeout_ms);
    for (size_t i = 0; i < l->n; i++)
        if (!l->v[i].supervisor && layout_is_here(&l->v[i]))
            fleet_add(&f, &l->v[i].addr, true, &added);
    do {
        buf_clear(&missing);
        look(a, &f, &missing);
    } while (missing.n > 0 && fleet_now_ms() < deadline && interrupt_sleep(LOOK_MS));
    bool ready = missing.n == 0;
    if (!ready && interrupted())
        buf_puts(why, "interrupted");
    else if (!ready)
        buf_printf(why, "all is not well after %.1f s:\n%s", limit_ms / 1000.0, buf_str(&missing));
    fleet_free(&f);
    buf_free(&missing);
    return ready;
}
