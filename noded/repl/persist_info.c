/* INFO persistence. */
#include "noded/cmd/info.h"
#include "noded/repl/aof_state.h"
#include "noded/repl/extension.h"
#include "noded/repl/persist.h"

#include <inttypes.h>

static void put(struct buf *out, const char *name, int64_t v)
{
    buf_printf(out, "%s:%" PRId64 "\r\n", name, v);
}

static void child(const struct nd_persist *p, struct buf *out)
{
    bool lives = p->child != ND_CHILD_NONE;
    put(out, "current_cow_peak", lives ? p->child_cow_peak : 0);
    put(out, "current_cow_size", lives ? p->child_cow_bytes : 0);
    put(out, "current_cow_size_age", lives && p->child_cow_ms > 0 ? (p->e->now_ms - p->child_cow_ms) / 1000 : 0);
    double done = lives && p->child_keys > 0 ? 100. * (double)p->child_keys_done / (double)p->child_keys : 0;
    buf_printf(out, "current_fork_perc:%.2f\r\n", done < 100 ? done : 100);
    put(out, "current_save_keys_processed", lives ? p->child_keys_done : 0);
    put(out, "current_save_keys_total", lives ? p->child_keys : 0);
}

static void snapshots(const struct nd_persist *p, struct buf *out)
{
    bool saving = p->child == ND_CHILD_SAVE || p->child == ND_CHILD_SYNC;
    put(out, "rdb_changes_since_last_save", nd_unsaved(p->e));
    put(out, "rdb_bgsave_in_progress", saving);
    put(out, "rdb_last_save_time", p->last_save_s);
    buf_printf(out, "rdb_last_bgsave_status:%s\r\n", p->last_ok ? "ok" : "err");
    put(out, "rdb_last_bgsave_time_sec", p->last_duration_s);
    put(out, "rdb_current_bgsave_time_sec", saving ? (p->e->now_ms - p->child_since_ms) / 1000 : -1);
    put(out, "rdb_saves", (int64_t)p->saves);
    put(out, "rdb_last_cow_size", (int64_t)p->last_cow_bytes);
    put(out, "rdb_last_load_keys_expired", p->loaded_expired);
    put(out, "rdb_last_load_keys_loaded", p->loaded_keys);
}

static void loading(const struct nd_persist *p, struct buf *out)
{
    const struct nd_loading *l = &p->loading;
    int64_t seconds = (p->e->now_ms - l->since_ms) / 1000;
    uint64_t total = l->total_bytes > 0 ? l->total_bytes : 1;
    uint64_t left = total > l->loaded_bytes ? total - l->loaded_bytes : 0;
    int64_t eta = -1; /* of the pace so far */
    if (l->loaded_bytes > 0 && seconds > 0)
        eta = (int64_t)((double)seconds * (double)left / (double)l->loaded_bytes);
    else if (l->loaded_bytes > 0)
        eta = 1;
    put(out, "loading_start_time", l->since_ms / 1000);
    put(out, "loading_total_bytes", (int64_t)l->total_bytes);
    put(out, "loading_rdb_used_mem", (int64_t)l->rdb_used_memory);
    put(out, "loading_loaded_bytes", (int64_t)l->loaded_bytes);
    buf_printf(out, "loading_loaded_perc:%.2f\r\n", 100. * (double)l->loaded_bytes / (double)total);
    put(out, "loading_eta_seconds", eta);
}

void nd_persist_info(struct nd_info *i)
{
    const struct nd_persist *p = i->e->persist;
    buf_printf(i->out, "# Persistence\r\nloading:%d\r\nasync_loading:%d\r\n", i->e->loading && !i->e->async_loading,
               i->e->async_loading);
    child(p, i->out);
    snapshots(p, i->out);
    nd_aof_info(i->e, i->out); /* those of modules stand in the middle of it */
    if (i->e->loading || i->e->async_loading)
        loading(p, i->out);
}
