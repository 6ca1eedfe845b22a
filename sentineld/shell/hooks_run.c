#include "sentineld/shell/hooks_run.h"

#include "common/base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 200

struct io_process *hook_run(struct io_loop *loop, const struct config_hook *hook, const struct hook_event *event,
                            unsigned attempt, int64_t deadline_ms, io_process_fn *ended, void *owner, struct buf *error)
{
    struct buf json = {.n = 0};
    hook_event_json(event, attempt, &json);
    char **env = hook_event_env(event, attempt);
    const char **argv = mem_array(NULL, hook->run.n + 1, sizeof(char *));
    for (size_t i = 0; i < hook->run.n; i++)
        argv[i] = hook->run.v[i];
    argv[hook->run.n] = NULL;
    struct io_process_spec spec = {.argv = argv,
                                   .env = (const char *const *)env,
                                   .input = buf_slice(&json),
                                   .deadline_ms = deadline_ms,
                                   .output_max = HOOK_OUTPUT_MAX,
                                   .ends_group = true};
    struct io_process *p = io_process_start(loop, &spec, ended, owner, error);
    free(argv);
    hook_event_env_free(env);
    buf_free(&json);
    return p;
}

void hook_outcome(struct buf *out, const struct io_process_exit *end, int64_t deadline_ms)
{
    if (end->timed_out)
        buf_printf(out, "no end within %" PRId64 " ms", deadline_ms);
    else if (end->signal != 0)
        buf_printf(out, "killed by signal %d", end->signal);
    else
        buf_printf(out, "exit status %d", end->code);
}

void hook_first_line(struct buf *out, struct slice output)
{
    struct slice line = {NULL, 0};
    while (line.n == 0 && output.n > 0)
        line = slice_trim(slice_cut(&output, '\n'));
    if (line.n > LINE_MAX_BYTES)
        line.n = LINE_MAX_BYTES;
    for (size_t i = 0; i < line.n; i++)
        buf_putc(out, (unsigned char)line.p[i] < ' ' || line.p[i] == 0x7f ? ' ' : line.p[i]);
}
