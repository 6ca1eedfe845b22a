/* noded: a server of keys and values for Redis clients, with many databases. */
#include "common/base/version.h"
#include "common/io/file.h"
#include "common/io/log.h"
#include "noded/shell/arguments.h"
#include "noded/shell/config_file.h"
#include "noded/shell/node.h"
#include "noded/shell/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_OK = 0, EXIT_START = 1, EXIT_CONFIG = 2 };

#define FILE_BYTES_MAX ((size_t)4 * 1024 * 1024)

/* jemalloc reads this before main(). One arena, because one thread does the work and another only gives back; freed
 * pages go back to the system after some seconds; the sizes of which there are millions come from runs of four pages
 * instead of one, each of which costs 128 bytes of the allocator's own. */
extern const char *malloc_conf;
const char *malloc_conf = "narenas:1,background_thread:false,dirty_decay_ms:10000,muzzy_decay_ms:0,"
                          "slab_sizes:64-64:4|128-128:4";

/* ---- settings ---- */

static bool read_file(const char *path, struct nd_config *config, struct conf_problems *problems)
{
    if (strcmp(path, "-") != 0)
        return config_file_read(path, config, NULL, problems);
    struct buf text = {0};
    bool ok = io_file_read("/dev/stdin", FILE_BYTES_MAX, &text, &problems->text) &&
              config_text_read("standard input", buf_slice(&text), config, NULL, problems);
    buf_free(&text);
    return ok;
}

/* false: what is wrong is printed. */
static bool read_settings(const struct arguments *a, struct nd_config *config)
{
    struct conf_problems problems = {.count = 0};
    struct buf error = {0};
    bool ok = a->file == NULL || read_file(a->file, config, &problems);
    ok = arguments_apply(a, config, &error) && ok;
    if (problems.text.n > 0)
        fputs(buf_str(&problems.text), stderr);
    if (!ok && problems.count > 0)
        fputs("noded: a redis.conf is made a noded.conf by: nodectl config convert --to noded FILE\n", stderr);
    if (error.n > 0)
        fprintf(stderr, "%s", buf_str(&error));
    buf_free(&problems.text);
    buf_free(&error);
    return ok;
}

/* What was asked for and is not to be had is said once, at the start. */
static void tell_unused(const struct nd_config *config)
{
    struct buf names = {0};
    const struct nd_setting *s;
    for (size_t i = 0; (s = nd_setting_at(i)) != NULL; i++) {
        if (nd_setting_unused(s) && !nd_setting_is_default(s, config))
            buf_printf(&names, "%s%s", names.n > 0 ? ", " : "", nd_setting_name(s));
    }
    if (names.n > 0)
        io_log(IO_WARNING, "Kept, but followed by nothing in this version: %s", buf_str(&names));
    buf_free(&names);
}

/* ---- the run ---- */

static int failed(struct buf *error)
{
    io_log(IO_WARNING, "noded cannot start: %s", buf_str(error));
    buf_free(error);
    return EXIT_START;
}

static void tell_started(const struct node *n, const struct nd_config *config)
{
    io_log(IO_WARNING, "noded %s has started: port %d, process %ld, %s", SENTINELD_VERSION, (int)config->port,
           (long)getpid(), n->config_path != NULL ? n->config_path : "no configuration file");
    tell_unused(config);
}

static int run(struct nd_config *config, const char *config_path, const char *executable)
{
    struct buf error = {0};
    if (!process_enter_folder(config, &error) || !process_open_log(config, &error) ||
        !process_go_to_background(config, &error))
        return failed(&error);
    process_refuse_huge_pages(config);
    int64_t clients = node_raise_file_limit(config->maxclients);
    if (clients < config->maxclients) {
        io_log(IO_WARNING,
               "maxclients is %lld instead of %lld: the limit of open files does not allow more (ulimit -n)",
               (long long)clients, (long long)config->maxclients);
        config->maxclients = clients;
    }
    struct node n = {.config_path = config_path, .executable = executable};
    if (!node_open(&n, config, &error)) {
        int status = failed(&error);
        node_close(&n);
        return status;
    }
    process_write_pid(config);
    process_watch_signals(&n);
    tell_started(&n, config);
    node_load(&n);
    if (!n.ending)
        io_loop_run(n.loop);
    process_stopping();
    process_unwatch_signals(&n);
    node_close(&n);
    process_remove_pid(config);
    io_log(IO_WARNING, "noded has ended");
    return n.failed ? EXIT_START : EXIT_OK;
}

static int start(const struct arguments *a)
{
    struct nd_config config;
    nd_config_init(&config);
    int status = EXIT_CONFIG;
    if (read_settings(a, &config)) {
        status = EXIT_OK;
        if (a->check) {
            printf("%s: good\n", a->file != NULL ? a->file : "noded");
        } else {
            bool named = a->file != NULL && strcmp(a->file, "-") != 0;
            char *path = named ? io_path_absolute(a->file) : NULL, *executable = process_executable();
            status = run(&config, path, executable);
            free(path);
            free(executable);
        }
    }
    nd_config_free(&config);
    return status;
}

int main(int argc, char **argv)
{
    struct arguments a;
    struct buf text = {0};
    if (!process_fill_descriptors())
        return EXIT_START;
    io_log_set_role('M');
    int status = EXIT_OK;
    if (!arguments_read(argc, argv, &a, &text)) {
        fprintf(stderr, "noded: %s\nusage: noded [FILE] [--option value ...]; noded --help has more\n", buf_str(&text));
        status = EXIT_CONFIG;
    } else if (a.help) {
        arguments_help(&text);
        fputs(buf_str(&text), stdout);
    } else if (a.version) {
        printf("noded %s (as Redis 7.0.15)\n", SENTINELD_VERSION);
    } else {
        status = start(&a);
    }
    buf_free(&text);
    arguments_free(&a);
    io_log_close();
    return status;
}
