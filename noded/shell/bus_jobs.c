/* Migrations of slots and swaps of databases: what the core wants done by the data side, and what that tells it. */
#include "common/io/log.h"
#include "noded/cmd/database.h"
#include "noded/cmd/migrate.h"
#include "noded/repl/export.h"
#include "noded/repl/import.h"
#include "noded/shell/bus_inner.h"

#include <string.h>

/* ---- what the core wants ---- */

static void export_begin(struct bus *b, const struct cl_effect *fx)
{
    struct cl_id me = cl_my_id(b->core);
    nd_export_begin(b->node->repl, &fx->job, fx->ip, fx->port, cl_effect_slots(fx), &me, &fx->node);
}

/* The core knows which end of it this node is, and the data side looks by the name. */
static void stop(struct nd_repl *r, const struct cl_effect *fx)
{
    nd_export_stop(r, &fx->job, fx->ok, cl_effect_text(fx));
    nd_import_stop(r, &fx->job, fx->ok, cl_effect_text(fx));
}

/* The stream or the log may have brought it already: then it is done. */
static void swap(struct nd_engine *e, const struct cl_effect *fx)
{
    /* Of keys that another database has then. It was not prepared here, or none would be under way. */
    nd_migrations_disown(e, "TRYAGAIN The target instance may have the keys, and they are not deleted here: databases "
                            "were swapped meanwhile");
    if (!nd_swapdb_epoch(e, fx->a, fx->b, fx->seq))
        io_log(IO_WARNING,
               "Databases %d and %d are not exchanged: the mapping is at epoch %llu, and %llu is not the next", fx->a,
               fx->b, (unsigned long long)e->keys.mapping_epoch, (unsigned long long)fx->seq);
}

void bus_job_effect(struct bus *b, const struct cl_effect *fx)
{
    struct nd_repl *r = b->node->repl;
    switch (fx->kind) {
    case CL_FX_JOB_EXPORT: export_begin(b, fx); break;
    case CL_FX_JOB_DRAIN: nd_export_drain(r, &fx->job); break;
    case CL_FX_JOB_RESUME: nd_export_resume(r, &fx->job); break;
    case CL_FX_JOB_GRANT: nd_export_grant(r, &fx->job, fx->seq); break;
    case CL_FX_JOB_ACCEPT: nd_import_accept(r, &fx->job, fx->ok, cl_effect_text(fx)); break;
    case CL_FX_JOB_STOP: stop(r, fx); break;
    case CL_FX_SLOTS_SHOW: nd_import_show(r, cl_effect_slots(fx)); break;
    case CL_FX_SLOTS_FORGET: nd_import_forget(r, cl_effect_slots(fx)); break;
    case CL_FX_SWAPDB: swap(b->node->engine, fx); break;
    default: break;
    }
}

void bus_jobs_upset(struct bus *b, const char *why)
{
    nd_exports_upset(b->node->repl, why);
    nd_imports_upset(b->node->repl, why);
}

void bus_drop_slots(struct bus *b, const uint8_t *slots)
{
    size_t keys = nd_slots_drop(b->node->repl, slots);
    int first = cl_bit_next(slots, 0, true), n = 0;
    for (int slot = first; slot < CL_SLOTS; slot = cl_bit_next(slots, slot + 1, true))
        n++;
    if (keys > 0)
        io_log(IO_NOTICE, "Deleted %zu keys of %d slots that others have now: of slot %d%s", keys, n, first,
               n > 1 ? " and on" : "");
}

void bus_forget_imports(struct bus *b)
{
    uint8_t all[CL_SLOT_BYTES];
    memset(all, 0xff, sizeof all);
    nd_import_forget(b->node->repl, all);
}

void bus_flushed(void *bus)
{
    bus_jobs_upset(bus, "a database was emptied");
}

/* ---- what the data side tells ---- */

void bus_export_news(void *bus, const struct cl_id *job, enum cl_job_news news, uint64_t seq, struct slice why)
{
    struct cl_event e = {.kind = CL_EV_JOB, .job = *job, .news = news, .seq = seq, .bytes = why};
    bus_step_later(bus, &e);
}

void bus_import_news(void *bus, const struct cl_id *job, enum cl_job_news news, const struct cl_id *node,
                     const uint8_t *slots, uint64_t seq, struct slice why)
{
    struct cl_event e = {.kind = CL_EV_JOB, .job = *job, .news = news, .slots = slots, .seq = seq, .bytes = why};
    if (node != NULL)
        e.node = *node;
    bus_step_later(bus, &e);
}

uint64_t bus_greatest_epoch(void *bus)
{
    return cl_greatest_epoch(((struct bus *)bus)->core);
}

/* ---- what is shown of them ---- */

bool bus_job_progress(void *bus, const struct cl_id *job, struct nd_job_progress *out)
{
    const struct nd_repl *r = ((struct bus *)bus)->node->repl;
    struct nd_export_progress p;
    *out = (struct nd_job_progress){0};
    if (nd_export_progress(r, job, &p)) {
        *out = (struct nd_job_progress){.ack_ms = p.ack_ms, .left_bytes = p.left_bytes, .keys = p.snapshot_keys};
        return true;
    }
    return nd_import_ack_ms(r, job, &out->ack_ms);
}
