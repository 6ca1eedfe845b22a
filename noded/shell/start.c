/* From the open listeners to the first client that is served: the dataset is loaded. */
#include "common/io/log.h"
#include "noded/cmd/expire.h"
#include "noded/repl/persist.h"
#include "noded/shell/aof.h"
#include "noded/shell/bus.h"
#include "noded/shell/node.h"
#include "noded/shell/process.h"
#include "noded/shell/rdb_file.h"

void node_load(struct node *n)
{
    struct nd_engine *e = n->engine;
    rdb_temp_tidy(".");
    e->loading = true;
    if (e->config.appendonly)
        aof_start(n->aof);
    else
        rdb_load_start(n);
}

void node_loaded(struct node *n, const char *why)
{
    struct nd_engine *e = n->engine;
    if (why != NULL) {
        io_log(IO_WARNING, "noded cannot start: %s", why);
        n->failed = true;
        node_stop(n);
        return;
    }
    e->loading = false;
    e->persist->loading = (struct nd_loading){.since_ms = 0};
    nd_expiry_wake(e);
    bus_start(n->bus);
    io_log(IO_NOTICE, "Ready to accept connections");
    process_ready();
    process_forget_start();
    node_touch(n);
}
