/* nodectl cluster call. */
#include "nodectl/cluster/commands.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/reply_json.h"
#include "nodectl/slots/ask.h"
#include "nodectl/slots/session.h"
#include "nodectl/table.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct calling {
    struct session s;
    struct change c;
    bool said;
    struct slice *words;
    struct buf *bytes; /* of each word */
    size_t n;
    struct picture_node **to;
    size_t nto, failed;
};

/* ---- what is said ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* \xHH, \n, \r, \t and \\; another backslash stays one. */
static void unescape(const char *text, struct buf *out)
{
    static const char from[] = "nrt\\", into[] = "\n\r\t\\";
    for (; *text != '\0'; text++) {
        const char *at = *text == '\\' && text[1] != '\0' ? strchr(from, text[1]) : NULL;
        if (at != NULL) {
            buf_putc(out, into[at - from]);
            text++;
        } else if (*text == '\\' && text[1] == 'x' && text[2] != '\0' && hex_digit(text[2]) >= 0 &&
                   hex_digit(text[3]) >= 0) {
            buf_putc(out, (char)(hex_digit(text[2]) * 16 + hex_digit(text[3])));
            text += 3;
        } else {
            buf_putc(out, *text);
        }
    }
}

static void read_words(struct calling *k)
{
    const struct command_call *call = k->s.call;
    bool escapes = command_value(call, "--escapes") != NULL;
    k->n = (size_t)call->argc;
    k->words = mem_array(NULL, k->n + 1, sizeof *k->words);
    k->bytes = mem_zalloc((k->n + 1) * sizeof *k->bytes);
    for (size_t i = 0; i < k->n; i++) {
        if (escapes)
            unescape(call->argv[i], &k->bytes[i]);
        else
            buf_puts(&k->bytes[i], call->argv[i]);
        k->words[i] = buf_slice(&k->bytes[i]);
    }
}

static bool is_container(const redisReply *info)
{
    return info != NULL && info->type == REDIS_REPLY_ARRAY && info->elements == 1 &&
           info->element[0]->type == REDIS_REPLY_ARRAY && info->element[0]->elements >= 10 &&
           info->element[0]->element[9]->type == REDIS_REPLY_ARRAY && info->element[0]->element[9]->elements > 0;
}

/* Whether the first node that answers has the command among those that change nothing: with "readonly", or with neither
 * "write" nor "admin". What it does not know is asked about. */
static bool is_harmless(struct calling *k)
{
    struct buf name = {0}, why = {0};
    bool write = true;
    if (k->nto == 0)
        return true;
    buf_put(&name, k->words[0].p, k->words[0].n);
    for (int round = 0; round < 2; round++) {
        struct slice words[] = {slice_of("COMMAND"), slice_of("INFO"), buf_slice(&name)};
        const redisReply *r = picture_ask_slices(&k->s.picture, k->to[0], &why, 3, words);
        if (round == 0 && is_container(r) && k->n > 1) {
            buf_putc(&name, '|');
            buf_put(&name, k->words[1].p, k->words[1].n);
            continue;
        }
        const redisReply *row = r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements == 1 ? r->element[0] : NULL;
        const redisReply *flags = row != NULL && row->type == REDIS_REPLY_ARRAY && row->elements > 2 ? row->element[2]
                                                                                                     : NULL;
        bool read_only = false;
        write = flags == NULL || flags->type != REDIS_REPLY_ARRAY;
        for (size_t i = 0; !write && i < flags->elements; i++) {
            struct slice flag = reply_text(flags->element[i]);
            read_only = read_only || slice_is(flag, "readonly");
            write = slice_is(flag, "write") || slice_is(flag, "admin");
        }
        write = write && !read_only;
        break;
    }
    buf_free(&name);
    buf_free(&why);
    return !write;
}

static void choose(struct calling *k)
{
    struct picture *p = &k->s.picture;
    bool masters = command_value(k->s.call, "--only-masters") != NULL;
    bool replicas = command_value(k->s.call, "--only-replicas") != NULL;
    k->to = mem_array(NULL, p->n + 1, sizeof(struct picture_node *));
    for (size_t i = 0; i < p->n; i++)
        if ((!masters || p->v[i].master) && (!replicas || !p->v[i].master))
            k->to[k->nto++] = &p->v[i];
}

/* ---- what comes back ---- */

static bool has_failed(const struct picture_node *n)
{
    const redisReply *r = n->answers ? ask_answer(n->member, 0) : NULL;
    return r == NULL || r->type == REDIS_REPLY_ERROR;
}

static json_t *value_of(const redisReply *r)
{
    json_t *list;
    switch (r->type) {
    case REDIS_REPLY_INTEGER: return json_integer((json_int_t)r->integer);
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR: return json_text(r->str, (size_t)r->len);
    case REDIS_REPLY_ARRAY:
        list = json_array();
        for (size_t i = 0; i < r->elements; i++)
            json_array_append_new(list, value_of(r->element[i]));
        return list;
    default: return json_null();
    }
}

static json_t *document(const struct calling *k)
{
    json_t *o = json_object(), *list = json_array();
    for (size_t i = 0; k->said && i < k->nto; i++) {
        const struct picture_node *n = k->to[i];
        const redisReply *r = n->answers ? ask_answer(n->member, 0) : NULL;
        const char *error = n->member != NULL && n->member->error != NULL ? n->member->error
                                                                          : "its address is not known";
        char text[ADDR_TEXT_MAX];
        json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:b, s:o}", "address", addr_text(&n->addr, text), "id",
                                              n->id, "master", n->master, "ok", !has_failed(n), "reply",
                                              r != NULL ? value_of(r) : json_string(error)));
    }
    json_object_set_new(o, "nodes", list);
    json_object_set_new(o, "failed", json_integer((json_int_t)k->failed));
    return o;
}

static void put_value(struct buf *out, const redisReply *r, int depth)
{
    switch (r->type) {
    case REDIS_REPLY_INTEGER: buf_printf(out, "%lld\n", r->integer); break;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
        buf_put(out, r->str, (size_t)r->len);
        buf_putc(out, '\n');
        break;
    case REDIS_REPLY_ARRAY:
        if (r->elements == 0)
            buf_puts(out, "(none)\n");
        for (size_t i = 0; i < r->elements; i++) {
            buf_printf(out, "%*s%zu) ", i == 0 && depth > 0 ? 0 : 3 * depth, "", i + 1);
            put_value(out, r->element[i], depth + 1);
        }
        break;
    default: buf_puts(out, "(nil)\n"); break;
    }
}

static void print(const struct calling *k)
{
    bool colour = colour_wanted(stdout);
    for (size_t i = 0; i < k->nto; i++) {
        const struct picture_node *n = k->to[i];
        const redisReply *r = n->answers ? ask_answer(n->member, 0) : NULL;
        struct buf text = {0};
        char address[ADDR_TEXT_MAX];
        print_line(stdout, colour, has_failed(n) ? PAINT_BAD : PAINT_HEAD, "%s (%s)", addr_text(&n->addr, address),
                   n->master ? "master" : "replica");
        if (r != NULL)
            put_value(&text, r, 0);
        else
            buf_printf(&text, "%s\n", n->member != NULL && n->member->error != NULL ? n->member->error : "no address");
        print_lines(stdout, "    ", buf_slice(&text));
        buf_free(&text);
    }
}

/* ---- the call ---- */

static void say(struct calling *k)
{
    fleet_forget(&k->s.picture.fleet);
    for (size_t i = 0; i < k->nto; i++)
        if (k->to[i]->answers)
            fleet_ask_slices(k->to[i]->member, k->n, k->words);
    fleet_run(&k->s.picture.fleet);
    k->said = true;
    for (size_t i = 0; i < k->nto; i++)
        k->failed += has_failed(k->to[i]);
}

static int call_harmless(struct calling *k)
{
    say(k);
    if (k->s.asking.document) {
        json_t *o = document(k);
        output_document(k->s.asking.format, o);
        json_decref(o);
    } else {
        print(k);
    }
    return k->failed == 0 ? EXIT_OK
                          : command_fail(k->s.call, EXIT_FAILED, "%zu of %zu nodes refused it or did not answer",
                                         k->failed, k->nto);
}

static int call_asked(struct calling *k)
{
    struct buf line = {0};
    int code = change_begin(&k->c, k->s.call, &k->s.asking);
    if (code != EXIT_OK)
        return code;
    for (size_t i = 0; i < k->n; i++) {
        buf_puts(&line, i > 0 ? " " : "");
        text_quote(&line, k->words[i], 60);
    }
    change_step(&k->c, "say %s to %zu nodes", buf_str(&line), k->nto);
    if (change_agreed(&k->c, "Command to nodes of the cluster", "Say it now?") && change_now(&k->c, 0)) {
        say(k);
        if (!k->s.asking.document)
            print(k);
        if (k->failed > 0)
            change_failed(&k->c, "%zu of %zu nodes refused it or did not answer", k->failed, k->nto);
        else
            change_did(&k->c, 0);
    }
    buf_free(&line);
    return change_end(&k->c, document(k));
}

/* What has no answer, or more than one: a connection becomes a stream by it. */
static int check_answers(const struct command_call *call)
{
    static const char *const streams[] = {"subscribe",    "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe",
                                          "sunsubscribe", "monitor",    "sync",       "psync"};
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
        if (strcasecmp(call->argv[0], streams[i]) == 0)
            return command_fail(call, EXIT_USAGE, "%s has no one answer that could be shown", call->argv[0]);
    return EXIT_OK;
}

static int run_call(const struct command_call *call)
{
    struct calling k = {.n = 0};
    int code = session_read(&k.s, call);
    if (code == EXIT_OK && command_value(call, "--only-masters") != NULL &&
        command_value(call, "--only-replicas") != NULL)
        code = command_fail(call, EXIT_USAGE, "give --only-masters or --only-replicas, not both");
    if (code == EXIT_OK)
        code = check_answers(call);
    if (code == EXIT_OK)
        code = session_look(&k.s);
    if (code == EXIT_OK) {
        read_words(&k);
        choose(&k);
        bool dry = command_value(call, "--dry-run") != NULL;
        code = !dry && is_harmless(&k) ? call_harmless(&k) : call_asked(&k);
    }
    for (size_t i = 0; i < k.n; i++)
        buf_free(&k.bytes[i]);
    free(k.bytes);
    free(k.words);
    free(k.to);
    session_end(&k.s);
    return code;
}

static const struct command_option options[] = {
    {"--only-masters", NULL, NULL, "to masters only"},
    {"--only-replicas", NULL, NULL, "to replicas only"},
    {"--escapes", NULL, NULL, "the words have escapes: \\x00, \\n, \\r, \\t, \\\\"},
    CHANGE_OPTIONS,
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

const struct command command_cluster_call = {
    .name = "call",
    .arguments = "COMMAND [WORD...]",
    .summary = "Say a command to every node of a cluster, and show each answer.",
    .text = "Commands that change something (those that the nodes flag as write or admin) are shown and asked about\n"
            "first, unless --yes is given. Words that begin with a dash go behind --.\n"
            "\n"
            "Example:\n"
            "  nodectl cluster call PING\n"
            "  nodectl cluster call --only-masters --yes CONFIG SET maxmemory 1gb\n"
            "  nodectl cluster call --yes --escapes SET '{a}\\x00' 1\n"
            "\n"
            "Exit status: 0 every node has answered, and none with an error; 1 one has not, or it was not confirmed;\n"
            "2 the command line or the configuration file is wrong; 3 no node can be asked.",
    .options = options,
    .min_args = 1,
    .max_args = -1,
    .run = run_call,
};
