/* nodectl cluster set-timeout. */
#include "nodectl/cluster/commands.h"

#include "common/base/text.h"
#include "nodectl/slots/session.h"

#define TIMEOUT_MIN_MS 100 /* as redis-cli's */

struct setting {
    struct session s;
    struct change c;
    int64_t ms;
    struct buf not_kept; /* a line for each node that cannot write it into a file */
};

/* Whether the node has it already. */
static bool has_it(struct setting *t, struct picture_node *n)
{
    struct buf why = {0};
    int64_t now = -1;
    const redisReply *r = picture_askf(&t->s.picture, n, &why, "CONFIG GET cluster-node-timeout");
    if (r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements == 2 && r->element[1]->type == REDIS_REPLY_STRING &&
        !text_range(slice_of(r->element[1]->str), 0, INT64_MAX, &now))
        now = -1;
    buf_free(&why);
    return now == t->ms;
}

static bool set_it(struct setting *t, struct picture_node *n)
{
    struct buf why = {0};
    bool ok = picture_askf(&t->s.picture, n, &why, "CONFIG SET cluster-node-timeout %lld", (long long)t->ms) != NULL;
    if (!ok) {
        change_failed(&t->c, "%s", buf_str(&why));
    } else if (picture_askf(&t->s.picture, n, &why, "CONFIG REWRITE") == NULL) {
        buf_puts(&t->not_kept, buf_str(&why));
        buf_putc(&t->not_kept, '\n');
    }
    buf_free(&why);
    return ok;
}

static void plan(struct setting *t)
{
    const struct picture *p = &t->s.picture;
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n; i++) {
        addr_text(&p->v[i].addr, text);
        const struct fleet_member *m = p->v[i].member;
        if (!p->v[i].answers)
            change_failed(&t->c,
                          "%s does not answer (%s), and all nodes must have the same: start it or take it out first",
                          text, m != NULL && m->error != NULL ? m->error : "no address is known");
        change_step(&t->c, "cluster-node-timeout %lld at %s, and in its file", (long long)t->ms, text);
    }
}

static void perform(struct setting *t)
{
    for (size_t i = 0; i < t->s.picture.n; i++) {
        struct picture_node *n = &t->s.picture.v[i];
        if (!change_now(&t->c, i))
            return;
        bool had = has_it(t, n);
        if (!set_it(t, n))
            return;
        if (had)
            change_skipped(&t->c, i);
        else
            change_did(&t->c, i);
    }
}

static int run_set_timeout(const struct command_call *call)
{
    struct setting t = {.ms = 0};
    int code = session_read(&t.s, call);
    if (code == EXIT_OK && !text_range(slice_of(call->argv[0]), TIMEOUT_MIN_MS, INT32_MAX, &t.ms))
        code = command_fail(call, EXIT_USAGE, "'%s' is no time: milliseconds are expected, %d at least", call->argv[0],
                            TIMEOUT_MIN_MS);
    if (code == EXIT_OK)
        code = session_look(&t.s);
    if (code == EXIT_OK)
        code = change_begin(&t.c, call, &t.s.asking);
    if (code == EXIT_OK) {
        plan(&t);
        if (change_agreed(&t.c, "Node timeout of the cluster", "Set it now?"))
            perform(&t);
        json_t *extra = json_object();
        json_object_set_new(extra, "not_kept", output_lines(buf_slice(&t.not_kept)));
        if (t.not_kept.n > 0) {
            command_fail(call, EXIT_OK, "it is set, and lost when these restart, since they cannot write it down:");
            command_fail_lines(call, buf_slice(&t.not_kept));
        }
        code = change_end(&t.c, extra);
    }
    buf_free(&t.not_kept);
    session_end(&t.s);
    return code;
}

static const struct command_option options[] = {
    CHANGE_OPTIONS, ASKING_OPTIONS, ASKING_NODES_OPTIONS, {NULL, NULL, NULL, NULL}};

const struct command command_cluster_set_timeout = {
    .name = "set-timeout",
    .arguments = "MILLISECONDS",
    .summary = "Give all nodes of a cluster the same node timeout, and have them write it into their files.",
    .text = "The node timeout is after how long nodes hold each other for failed. Under supervision the supervisors'\n"
            "down-after decides over failovers, and this over how soon nodes tell each other.\n"
            "\n"
            "Example:\n"
            "  nodectl cluster set-timeout 5000\n"
            "\n"
            "Exit status: 0 all have it; 1 one refused or was not confirmed; 2 the command line or the configuration\n"
            "file is wrong; 3 no node can be asked; 130 interrupted.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run_set_timeout,
};
