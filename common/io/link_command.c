#include "common/io/link_command.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* A command of so many arguments and bytes is put together without asking for memory. */
#define SHORT_ARGS 8
#define SHORT_BYTES 512

bool link_command_changes_replies(struct slice name)
{
    static const char *const names[] = {"subscribe",  "psubscribe",   "unsubscribe", "punsubscribe",
                                        "ssubscribe", "sunsubscribe", "monitor"};
    if (name.n < strlen("monitor")) /* most are PING */
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_ieq(name, names[i]))
            return true;
    }
    return false;
}

static bool is_short(size_t argc, const struct slice *argv)
{
    size_t n = 0;
    for (size_t i = 0; i < argc && argc <= SHORT_ARGS; i++)
        n += argv[i].n > SHORT_BYTES ? SHORT_BYTES : argv[i].n;
    return argc <= SHORT_ARGS && n <= SHORT_BYTES;
}

static size_t put_length(char *out, char mark, size_t n)
{
    char digits[20];
    size_t k = sizeof digits, at = 0;
    do {
        digits[--k] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    out[at++] = mark;
    memcpy(out + at, digits + k, sizeof digits - k);
    at += sizeof digits - k;
    memcpy(out + at, "\r\n", 2);
    return at + 2;
}

static bool append_short(redisAsyncContext *ac, redisCallbackFn *fn, size_t argc, const struct slice *argv)
{
    char text[SHORT_BYTES + (SHORT_ARGS + 1) * 24];
    size_t n = put_length(text, '*', argc);
    for (size_t i = 0; i < argc; i++) {
        n += put_length(text + n, '$', argv[i].n);
        if (argv[i].n > 0)
            memcpy(text + n, argv[i].p, argv[i].n);
        n += argv[i].n;
        memcpy(text + n, "\r\n", 2);
        n += 2;
    }
    return redisAsyncFormattedCommand(ac, fn, NULL, text, n) == REDIS_OK;
}

static bool append_long(redisAsyncContext *ac, redisCallbackFn *fn, size_t argc, const struct slice *argv)
{
    const char **p = mem_array(NULL, argc, sizeof *p);
    size_t *n = mem_array(NULL, argc, sizeof *n);
    for (size_t i = 0; i < argc; i++) {
        p[i] = argv[i].p != NULL ? argv[i].p : "";
        n[i] = argv[i].n;
    }
    bool taken = redisAsyncCommandArgv(ac, fn, NULL, (int)argc, p, n) == REDIS_OK;
    free(p);
    free(n);
    return taken;
}

bool link_command_append(redisAsyncContext *ac, redisCallbackFn *fn, size_t argc, const struct slice *argv)
{
    return is_short(argc, argv) ? append_short(ac, fn, argc, argv) : append_long(ac, fn, argc, argv);
}
