/* nodectl completion, and what only shells and `make install` call: proposals for a line that is being typed, and the
 * manual pages. */
#include "nodectl/tree.h"

#include "nodectl/asking.h"
#include "nodectl/change.h"
#include "nodectl/help/complete.h"
#include "nodectl/help/man.h"
#include "nodectl/help/scripts.h"
#include "nodectl/help/values.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int run_completion(const struct command_call *call)
{
    const char *script = completion_script(call->argv[0]);
    if (script == NULL)
        return command_fail(call, EXIT_USAGE, "there is no completion for '%s', but for bash, zsh and fish",
                            call->argv[0]);
    fputs(script, stdout);
    return EXIT_OK;
}

static int run_complete(const struct command_call *call)
{
    struct complete c;
    complete_find(&c, &nodectl_root, call->argc, (const char *const *)call->argv);
    complete_values(&c);
    fputs(buf_str(&c.lines), stdout);
    if (c.kind == COMPLETE_FILES || c.kind == COMPLETE_FOLDERS)
        puts(c.kind == COMPLETE_FILES ? ":files" : ":folders");
    complete_free(&c);
    return EXIT_OK;
}

/* ---- manual pages ---- */

static const struct command_option shared_options[] = {
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    CHANGE_OPTIONS,
    {NULL, NULL, NULL, NULL},
};
static const struct man_shared shared = {.options = shared_options, .text = ASKING_TEXT};

static int write_page(const struct command_call *call, const char *name, const struct buf *page)
{
    struct buf path = {0};
    buf_printf(&path, "%s/%s.1", call->argv[0], name);
    FILE *f = fopen(buf_str(&path), "w");
    bool written = f != NULL && fwrite(page->p, 1, page->n, f) == page->n;
    written = f != NULL && fclose(f) == 0 && written;
    int code = written ? EXIT_OK
                       : command_fail(call, EXIT_FAILED, "%s cannot be written: %s", buf_str(&path), strerror(errno));
    buf_free(&path);
    return code;
}

static int run_man(const struct command_call *call)
{
    const struct command *root = &nodectl_root;
    struct buf page = {0}, name = {0};
    man_program(&page, root, &shared);
    int code = write_page(call, root->name, &page);
    for (size_t i = 0; root->commands[i] != NULL && code == EXIT_OK; i++) {
        const struct command *c = root->commands[i];
        if (command_is_hidden(c) || command_family(root, c) != NULL)
            continue;
        buf_clear(&page);
        buf_clear(&name);
        buf_printf(&name, "%s-%s", root->name, c->name);
        man_command(&page, root, c, &shared);
        code = write_page(call, buf_str(&name), &page);
    }
    buf_free(&page);
    buf_free(&name);
    return code;
}

const struct command command_complete = {
    .name = "__complete",
    .arguments = "-- WORD...",
    .summary = "Propose what may stand at the end of a command line.",
    .min_args = 0,
    .max_args = -1,
    .run = run_complete,
};

const struct command command_man = {
    .name = "__man",
    .arguments = "DIR",
    .summary = "Write the manual pages of nodectl to a folder.",
    .min_args = 1,
    .max_args = 1,
    .run = run_man,
};

const struct command command_completion = {
    .name = "completion",
    .arguments = COMPLETION_SHELLS,
    .summary = "Print the script that makes the tab key complete nodectl in a shell.",
    .text =
        "Commands, options and their values are completed, with the names of your fleets and shards where they are\n"
        "wanted. `make install` puts the scripts where each shell finds them; without it:\n"
        "\n"
        "Example:\n"
        "  source <(nodectl completion bash)\n"
        "  source <(nodectl completion zsh)\n"
        "  nodectl completion fish | source\n"
        "\n"
        "Exit status: 0 printed; 2 there is none for that shell.",
    .min_args = 1,
    .max_args = 1,
    .run = run_completion,
};
