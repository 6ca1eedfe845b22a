#include "noded/repl/extension.h"

static const struct nd_command *const families[] = {
    nd_persist_commands,
    NULL,
};

const struct nd_extension nd_repl_extension = {
    .families = families,
    .info_persistence = nd_persist_info,
};
