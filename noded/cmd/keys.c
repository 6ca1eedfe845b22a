#include "noded/cmd/command.h"

#include "common/base/text.h"

/* Where the key spec's search begins: an index into argv, or argc when there is no such word. */
static size_t begin_of(const struct nd_keyspec *spec, const struct slice *argv, size_t argc)
{
    if (spec->first > 0)
        return (size_t)spec->first;
    bool backwards = spec->first_from < 0;
    size_t at = backwards ? argc - (size_t)-spec->first_from : (size_t)spec->first_from;
    /* From the end the word must leave room for a key behind it, and it can't be the command's name. */
    for (; at > 0 && at < argc; at = backwards ? at - 1 : at + 1)
        if (slice_ieq(argv[at], spec->word))
            return at + 1;
    return argc;
}

/* The positions of one spec. Returns how many, -1: the arguments don't fit. */
static int find_spec(const struct nd_keyspec *spec, const struct slice *argv, size_t argc, int *out, int max)
{
    size_t begin = begin_of(spec, argv, argc);
    if (begin >= argc)
        return 0; /* no such word, or an optional part that is left out */
    size_t first = begin, last;
    int step = spec->step > 0 ? spec->step : 1;
    if (spec->keynum > 0) {
        int64_t count;
        size_t counted = begin + (size_t)spec->keynum - 1;
        if (counted >= argc || !text_i64(argv[counted], &count) || count < 1)
            return -1;
        first = begin + (size_t)spec->keynum;
        if (count > (int64_t)(argc - first))
            return -1;
        last = first + (size_t)count * (size_t)step - 1;
    } else if (spec->last >= 0) {
        last = begin + (size_t)spec->last;
    } else {
        size_t back = (size_t)-spec->last;
        if (back > argc)
            return -1;
        last = argc - back;
        if (spec->limit > 1 && last >= first)
            last = first + (argc - first) / (size_t)spec->limit + (size_t)spec->last;
    }
    if (last >= argc)
        return -1;
    int n = 0;
    for (size_t at = first; at <= last && at >= first; at += (size_t)step) {
        if (n < max)
            out[n] = (int)at;
        n++;
    }
    return n;
}

int nd_command_keys(const struct nd_command *cmd, const struct slice *argv, size_t argc, int *out, int max)
{
    if (cmd->find_keys != NULL)
        return cmd->find_keys(argv, argc, out, max);
    int n = 0;
    for (int i = 0; i < ND_KEYSPECS_MAX && cmd->keys[i].flags != NULL; i++) {
        const struct nd_keyspec *spec = &cmd->keys[i];
        if (slice_is(slice_of(spec->flags), "NOT_KEY"))
            continue;
        int more = find_spec(spec, argv, argc, n < max ? out + n : out, n < max ? max - n : 0);
        if (more < 0)
            return -1;
        n += more;
    }
    return n;
}
