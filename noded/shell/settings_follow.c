/* What the program does when CONFIG SET has changed a setting. */
#include "common/base/mem.h"
#include "common/io/file.h"
#include "common/io/log.h"
#include "noded/repl/follow.h"
#include "noded/repl/persist.h"
#include "noded/repl/serve.h"
#include "noded/shell/aof.h"
#include "noded/shell/bus.h"
#include "noded/shell/clients.h"
#include "noded/shell/listen.h"
#include "noded/shell/node.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Descriptors for what is not a client: listeners, files, links to other nodes. */
#define FILES_OWN 32

int64_t node_raise_file_limit(int64_t maxclients)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return maxclients;
    rlim_t wanted = (rlim_t)maxclients + FILES_OWN;
    if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= wanted)
        return maxclients;
    rlim_t before = limit.rlim_cur, most = limit.rlim_max;
    limit.rlim_cur = wanted;
    if (most == RLIM_INFINITY || wanted <= most) {
        if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
            return maxclients;
    }
    /* Beyond the hard limit only with a privilege; without it as far as it goes. */
    limit.rlim_max = most == RLIM_INFINITY || most > wanted ? most : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        return maxclients;
    limit.rlim_cur = limit.rlim_max = most;
    rlim_t now = setrlimit(RLIMIT_NOFILE, &limit) == 0 ? most : before;
    return now > FILES_OWN ? (int64_t)now - FILES_OWN : 1;
}

static bool follow_maxclients(const struct nd_config *config, struct buf *why)
{
    int64_t possible = node_raise_file_limit(config->maxclients);
    if (possible >= config->maxclients)
        return true;
    buf_printf(why, "The operating system is not able to handle the specified number of clients, try with %" PRId64,
               possible);
    return false;
}

static bool follow_listen(struct node *n, const char *failure, struct buf *why)
{
    struct buf error = {0};
    bool ok = listen_change(n->listen, &n->engine->config, &error);
    if (!ok) {
        io_log(IO_WARNING, "CONFIG SET: %s", buf_str(&error));
        buf_puts(why, failure);
    }
    buf_free(&error);
    return ok;
}

/* CONFIG GET shows the folder itself, not how it was written. */
static bool follow_dir(const struct node *n, struct nd_config *config, struct buf *why)
{
    if (n->engine->persist->aof->mode != ND_AOF_OFF) {
        buf_puts(why, "The append-only file is on, and its files do not move: switch it off first");
        return false;
    }
    if (n->engine->persist->child != ND_CHILD_NONE) {
        buf_puts(why, "A child process writes a file here: try again when it has ended");
        return false;
    }
    if (chdir(config->dir) != 0) {
        buf_printf(why, "Changing directory: %s", strerror(errno));
        return false;
    }
    char *path = io_path_absolute(".");
    if (path != NULL) {
        free(config->dir);
        config->dir = path;
    }
    return true;
}

/* Off: what waits is written first. On: a base is made by a child process. */
static bool follow_appendonly(struct node *n, struct buf *why)
{
    struct nd_engine *e = n->engine;
    struct buf reason = {0};
    if (e->loading) {
        buf_puts(why, "the dataset is being loaded");
        return false;
    }
    bool ok = nd_aof_switch(e->persist->aof, e->config.appendonly, &reason);
    if (!ok) {
        io_log(IO_WARNING, "The append-only file cannot be switched on: %s", buf_str(&reason));
        buf_puts(why, "Unable to turn on AOF. Check server logs.");
    }
    buf_free(&reason);
    return ok;
}

bool node_follow_setting(struct node *n, const char *name, struct buf *why)
{
    struct nd_config *config = &n->engine->config;
    struct slice s = slice_of(name);
    if (slice_is(s, "port"))
        return follow_listen(n, "Unable to listen on this port. Check server logs.", why);
    if (slice_is(s, "bind"))
        return follow_listen(n, "Failed to bind to specified addresses.", why);
    if (slice_is(s, "maxclients"))
        return follow_maxclients(config, why);
    if (slice_is(s, "dir"))
        return follow_dir(n, config, why);
    if (slice_is(s, "appendonly"))
        return follow_appendonly(n, why);
    if (!bus_setting(n->bus, why))
        return false;
    if (slice_is(s, "loglevel"))
        io_log_set_level((enum io_log_level)config->loglevel);
    else if (slice_is(s, "tcp-keepalive"))
        listen_set_keepalive(n->listen, (int)config->tcp_keepalive_s);
    else
        clients_settings(n->clients);
    nd_persist_settings(n->engine->persist);
    nd_serve_settings(n->repl);
    nd_follow_settings(n->repl);
    return true;
}
