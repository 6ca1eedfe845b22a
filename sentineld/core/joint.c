/* An operator's word about a whole cluster that all supervisors of the list have to obey, said to one of them: to give
 * it up, or to take it on again. Each obeys for itself and keeps it on its disk; the one that was asked tells the
 * others, and answers with what came of it. A majority decides: by less nothing is released, and nothing is leased. */
#include "sentineld/core/fleet_inner.h"

#define GATHER MS(1500)   /* in which who is there connects again */
#define PATIENCE MS(5000) /* with others; they have their nodes to tell, and a disk */

struct row {
    struct sn_peer *peer; /* NULL: it is forgotten */
    struct addr addr;
    enum { ASKED, DONE, FAILED } state;
    char *why; /* FAILED */
};

struct sn_joint {
    sn_token token;
    enum sn_command command;
    char *name;
    int64_t until_us;
    bool started;    /* before, supervisors that were restarted just now are waited for */
    bool own;        /* done here, */
    struct buf left; /* but for these nodes */
    struct row *rows;
    size_t n;
};

static int majority(const struct sn_joint *j)
{
    return ((int)j->n + 1) / 2 + 1;
}

static bool can_be_asked(const struct sn_peer *p)
{
    return p && p->cmd.state == SN_CONN_UP && p->kind == SN_PEER_OURS && !p->cmd.auth_failed;
}

static void answer(struct sn_core *c, sn_token token, const char *error)
{
    struct sn_pending *w = sn_wait(c, sn_persist_next(c));
    w->fx.kind = SN_FX_ANSWER;
    w->fx.token = token;
    w->fx.answer = error ? SN_ANSWER_ERROR : SN_ANSWER_OK;
    w->fx.text = error ? mem_strdup(error) : NULL;
}

static void fail(struct row *r, struct slice why)
{
    r->state = FAILED;
    r->why = slice_dup(why);
}

void sn_joint_free(struct sn_core *c)
{
    struct sn_joint *j = c->joint;
    if (!j)
        return;
    for (size_t k = 0; k < j->n; k++)
        free(j->rows[k].why);
    free(j->rows);
    free(j->name);
    buf_free(&j->left);
    free(j);
    c->joint = NULL;
}

void sn_joint_begin(struct sn_core *c, sn_token token, enum sn_command command, const char *name)
{
    if (c->joint) {
        struct buf text = {0};
        buf_printf(&text, "INPROG %s is being released or adopted just now: wait for that", c->joint->name);
        answer(c, token, buf_str(&text));
        buf_free(&text);
        return;
    }
    struct sn_joint *j = c->joint = mem_zalloc(sizeof *j);
    j->token = token;
    j->command = command;
    j->name = mem_strdup(name);
    j->until_us = c->now_us + GATHER;
    j->rows = mem_zalloc((c->npeers + 1) * sizeof *j->rows);
    for (size_t k = 0; k < c->npeers; k++)
        if (c->peers[k]->declared)
            j->rows[j->n++] = (struct row){.peer = c->peers[k], .addr = c->peers[k]->addr};
}

static int count_reached(const struct sn_joint *j)
{
    int reached = 1;
    for (size_t k = 0; k < j->n; k++)
        reached += can_be_asked(j->rows[k].peer);
    return reached;
}

/* What is done here lasts longer than the others' answers, and is begun with them. */
static void start(struct sn_core *c, struct sn_joint *j)
{
    struct sn_fleet *f = sn_fleet_find(c, slice_of(j->name));
    j->started = true;
    j->until_us = c->now_us + PATIENCE;
    for (size_t k = 0; k < j->n; k++) {
        struct sn_peer *p = j->rows[k].peer;
        if (!can_be_asked(p)) {
            fail(&j->rows[k], slice_of("not connected"));
            continue;
        }
        sn_send(c, &p->cmd, j->command)->text = mem_strdup(j->name);
        p->pending++;
    }
    if (j->command == SN_CMD_TAKE_ON)
        j->own = f != NULL;
    else if (f && f->state == SN_FLEET_WATCHED)
        sn_fleet_release(f, 0, true);
}

void sn_joint_own(struct sn_core *c, const char *name, const struct buf *left)
{
    struct sn_joint *j = c->joint;
    if (!j || strcmp(j->name, name) != 0)
        return;
    j->own = true;
    buf_put(&j->left, left->p, left->n);
}

void sn_joint_ack(struct sn_peer *p, enum sn_command command, bool ok, struct slice text)
{
    static const char gone[] = "ERR No such cluster"; /* it was released there before */
    struct sn_joint *j = p->core->joint;
    size_t n = sizeof gone - 1;
    bool done = ok || (command == SN_CMD_GIVE_UP && text.n >= n && memcmp(text.p, gone, n) == 0);
    for (size_t k = 0; j && k < j->n; k++) {
        struct row *r = &j->rows[k];
        if (r->peer != p || j->command != command || r->state != ASKED)
            continue;
        if (done)
            r->state = DONE;
        else
            fail(r, text);
    }
}

void sn_joint_forget(struct sn_peer *p)
{
    struct sn_joint *j = p->core->joint;
    for (size_t k = 0; j && k < j->n; k++)
        if (j->rows[k].peer == p)
            j->rows[k].peer = NULL;
}

/* ---- the end ---- */

static int count_done(const struct sn_joint *j)
{
    int n = j->own;
    for (size_t k = 0; k < j->n; k++)
        n += j->rows[k].state == DONE;
    return n;
}

static void put_failed(const struct sn_joint *j, struct buf *out)
{
    const char *sign = "";
    for (size_t k = 0; k < j->n; k++) {
        const struct row *r = &j->rows[k];
        char address[ADDR_TEXT_MAX];
        if (r->state == DONE)
            continue;
        buf_printf(out, "%s%s (%s)", sign, addr_text(&r->addr, address), r->why ? r->why : "no answer");
        sign = ", ";
    }
}

static void put_outcome(struct sn_joint *j, struct buf *out)
{
    bool release = j->command == SN_CMD_GIVE_UP;
    const char *verb = release ? "RELEASE" : "ADOPT";
    int done = count_done(j), all = (int)j->n + 1;
    buf_printf(out, "PARTIAL %s was %s by %d of %d supervisors", j->name, release ? "released" : "adopted", done, all);
    if (done < majority(j))
        buf_printf(out, ", which are too few: its nodes %s. SENTINEL CLUSTER %s %s undoes it",
                   release ? "stay supervised by the others" : "are not leased", release ? "ADOPT" : "RELEASE",
                   j->name);
    if (done < all) {
        buf_puts(out, ". Not by ");
        put_failed(j, out);
        buf_printf(out, ": say SENTINEL CLUSTER %s %s ALONE there", verb, j->name);
    }
    if (j->left.n > 0)
        buf_printf(out, ". Nodes that did not confirm it: %s", buf_str(&j->left));
}

static void give_up(struct sn_core *c, const struct sn_joint *j)
{
    struct buf text = {0};
    buf_printf(&text,
               "ERR Nothing was done: %d of the %d supervisors can be reached, and it takes %d of them. ALONE does it "
               "at this one only",
               count_reached(j), (int)j->n + 1, majority(j));
    answer(c, j->token, buf_str(&text));
    buf_free(&text);
    sn_joint_free(c);
}

static bool waits(struct sn_joint *j)
{
    bool any = !j->own;
    for (size_t k = 0; k < j->n; k++) {
        struct row *r = &j->rows[k];
        if (r->state == ASKED && (!r->peer || r->peer->cmd.state != SN_CONN_UP))
            fail(r, slice_of("its connection broke"));
        any = any || r->state == ASKED;
    }
    return any;
}

int64_t sn_joint_run(struct sn_core *c)
{
    struct sn_joint *j = c->joint;
    if (!j)
        return HEAP_NEVER;
    int reached = j->started ? 0 : count_reached(j);
    if (!j->started && reached < (int)j->n + 1 && c->now_us < j->until_us)
        return j->until_us;
    if (!j->started && reached < majority(j)) {
        give_up(c, j);
        return HEAP_NEVER;
    }
    if (!j->started)
        start(c, j);
    if (waits(j) && c->now_us < j->until_us)
        return j->until_us;
    struct buf text = {0};
    bool whole = count_done(j) == (int)j->n + 1 && j->left.n == 0;
    if (!whole)
        put_outcome(j, &text);
    answer(c, j->token, whole ? NULL : buf_str(&text));
    sn_publish_core(c, SN_LOG_WARNING, j->command == SN_CMD_GIVE_UP ? "+cluster-released-by-all" : "+cluster-adopted",
                    "%s %d/%d", j->name, count_done(j), (int)j->n + 1);
    buf_free(&text);
    sn_joint_free(c);
    return HEAP_NEVER;
}
