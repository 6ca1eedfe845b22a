#include "noded/repl/extension.h"

#include "noded/repl/import.h"
#include "noded/repl/repl.h"
#include "noded/repl/serve.h"

static const struct nd_command *const families[] = {
    nd_persist_commands, nd_aof_commands, nd_serve_commands, nd_follow_commands, NULL,
};

static void session_gone(struct nd_session *s)
{
    nd_serve_gone(s);
    nd_import_gone(s);
}

const struct nd_extension nd_repl_extension = {
    .families = families,
    .info_persistence = nd_persist_info,
    .info_replication = nd_serve_info,
    .debug = nd_persist_debug,
    .flushed = nd_repl_flushed,
    .session_gone = session_gone,
    .syncslots = nd_syncslots_command,
};
