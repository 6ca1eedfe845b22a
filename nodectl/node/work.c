#include "nodectl/node/work.h"

#include "nodectl/interrupt.h"
#include "nodectl/progress.h"
#include "nodectl/table.h"

#include <stdio.h>
#include <string.h>

#define LOOK_MS 50

/* ---- begin and end ---- */

static int nobody(const struct command_call *call, const struct asking *a, const struct buf *why)
{
    command_fail(call, EXIT_NOBODY, "no node of a cluster can be asked (they are named by %s):", a->targets.source);
    print_lines(stderr, "  ", buf_slice(why));
    return EXIT_NOBODY;
}

int node_read(struct node_work *w, const struct command_call *call)
{
    *w = (struct node_work){.call = call};
    return asking_read_nodes(call, &w->asking);
}

int node_begin(struct node_work *w, bool changes)
{
    int code = EXIT_OK;
    if (changes) {
        code = change_begin(&w->change, w->call, &w->asking);
        w->changing = code == EXIT_OK;
    }
    if (code != EXIT_OK)
        return code;
    if (!picture_take(&w->picture, &w->asking, &w->why)) {
        if (changes)
            change_failed(&w->change, "nothing was done: no node can be asked");
        return nobody(w->call, &w->asking, &w->why);
    }
    if (supervision_find(&w->by, &w->asking, &w->picture, &w->why))
        return EXIT_OK;
    if (changes)
        change_failed(&w->change, "%s", buf_str(&w->why));
    else
        command_fail(w->call, EXIT_FAILED, "%s", buf_str(&w->why));
    return EXIT_FAILED;
}

int node_end(struct node_work *w, int code, json_t *extra)
{
    int changed = w->changing ? change_end(&w->change, extra) : code;
    if (!w->changing)
        json_decref(extra);
    code = code == EXIT_NOBODY ? code : changed;
    supervision_free(&w->by);
    picture_free(&w->picture);
    asking_free(&w->asking);
    buf_free(&w->why);
    return code;
}

/* ---- nodes ---- */

struct picture_node *node_named(struct node_work *w, const char *text)
{
    buf_clear(&w->why);
    struct picture_node *n = picture_find(&w->picture, text, &w->why);
    if (n == NULL)
        change_failed(&w->change, "%s", buf_str(&w->why));
    return n;
}

const char *node_text(const struct picture_node *n, char text[ADDR_TEXT_MAX])
{
    return addr_text(&n->addr, text);
}

static bool same_role(const struct sn_nodes_line *l, const struct picture_node *n)
{
    bool master = (l->flags & SN_NODES_MASTER) != 0;
    return master == n->master && l->nslots == n->nslots &&
           (master ? l->epoch == n->epoch : runid_cmp(l->master, n->master_id) == 0);
}

static bool agrees_with_all(const struct picture *p, const struct picture_node *teller, struct buf *why)
{
    char text[ADDR_TEXT_MAX], of[ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n; i++) {
        const struct picture_node *n = &p->v[i];
        const struct sn_nodes_line *l = sn_nodes_find(&teller->view, n->id);
        const char *says = l == NULL                                    ? "does not know"
                           : (l->flags & SN_NODES_HANDSHAKE)            ? "is still meeting"
                           : !same_role(l, n)                           ? "has another view of"
                           : n->answers && !l->connected && n != teller ? "is not connected with"
                                                                        : NULL;
        if (says != NULL) {
            buf_printf(why, "%s %s %s", node_text(teller, text), says, node_text(n, of));
            return false;
        }
    }
    return true;
}

bool node_all_agree(const struct picture *p, struct buf *why)
{
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n; i++) {
        if (!p->v[i].answers)
            continue;
        if (!agrees_with_all(p, &p->v[i], why))
            return false;
        if (p->v[i].view.nlines > p->n) {
            buf_printf(why, "%s is still meeting somebody", node_text(&p->v[i], text));
            return false;
        }
    }
    return true;
}

/* ---- steps ---- */

static bool look_until(struct node_work *w, int64_t end_ms, struct waiting *waiting, node_wait_fn *there, void *what)
{
    for (;;) {
        buf_clear(&w->why);
        if (!picture_again(&w->picture, &w->why))
            return false;
        supervision_again(&w->by);
        if (there(w, what, &w->why))
            return true;
        if (fleet_now_ms() >= end_ms) {
            buf_printf(&w->why, " (after %lld s)", (long long)(fleet_now_ms() - waiting->begin_ms) / 1000);
            return false;
        }
        waiting_at(waiting, buf_str(&w->why));
        if (!interrupt_sleep(LOOK_MS)) {
            buf_puts(&w->why, " (it was interrupted)");
            return false;
        }
    }
}

bool node_wait(struct node_work *w, int64_t timeout_ms, node_wait_fn *there, void *what)
{
    struct waiting waiting;
    waiting_begin(&waiting);
    bool is_there = look_until(w, waiting.begin_ms + timeout_ms, &waiting, there, what);
    waiting_end(&waiting);
    return is_there;
}

bool node_step(struct node_work *w, size_t step, node_step_fn *work, void *what)
{
    buf_clear(&w->why);
    if (!change_now(&w->change, step))
        return false;
    if (work(w, what)) {
        change_did(&w->change, step);
        return true;
    }
    change_failed(&w->change, "%s", buf_str(&w->why));
    return false;
}
