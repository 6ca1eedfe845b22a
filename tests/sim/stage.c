#include "tests/sim/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define ACQUAINTED_WITHIN SECONDS(30)

/* --- setting up --- */

static struct plan_group *group_now(struct stage *s)
{
    if (s->plan.groups == 0)
        complain(s, "a group must come first");
    return s->plan.groups > 0 ? &s->plan.group[s->plan.groups - 1] : NULL;
}

static void set_up_group(struct stage *s)
{
    if (s->plan.groups == MAX_GROUPS || s->nwords < 2) {
        complain(s, "a group needs a name, and there may be %d", MAX_GROUPS);
        return;
    }
    struct plan_group *g = &s->plan.group[s->plan.groups];
    snprintf(s->groups[s->plan.groups++], sizeof s->groups[0], "%s", s->words[1]);
    *g = (struct plan_group){.quorum = s->plan.supers / 2 + 1,
                             .down_after_ms = 1000,
                             .failover_timeout_ms = 5000,
                             .parallel_syncs = 1,
                             .replicas = -1,
                             .keys = 10,
                             .write_ms = 100};
    for (int i = 2; i < s->nwords; i++) {
        if (word_is(s, i, "quorum"))
            g->quorum = (int)word_number(s, ++i);
        else if (word_is(s, i, "down-after"))
            g->down_after_ms = word_number(s, ++i);
        else if (word_is(s, i, "failover-timeout"))
            g->failover_timeout_ms = word_number(s, ++i);
        else if (word_is(s, i, "parallel-syncs"))
            g->parallel_syncs = (int)word_number(s, ++i);
        else if (word_is(s, i, "keys"))
            g->keys = (int)word_number(s, ++i);
        else if (word_is(s, i, "reborn-follow"))
            g->reborn_follow = true;
        else
            complain(s, "a group has no %s", s->words[i]);
    }
}

static void set_up_node(struct stage *s)
{
    struct plan_group *g = group_now(s);
    if (g == NULL || s->nwords < 2 || g->replicas + 1 == MAX_NODES_PER_GROUP) {
        complain(s, "a node needs a name, and a group may have %d", MAX_NODES_PER_GROUP);
        return;
    }
    struct plan_node *n = &g->nodes[++g->replicas];
    snprintf(s->names[s->nnodes++], sizeof s->names[0], "%s", s->words[1]);
    *n = (struct plan_node){
        .persistent = true, .rewrites = true, .has_failover = true, .priority = 100, .loading_ms = 20};
    for (int i = 2; i < s->nwords; i++) {
        if (word_is(s, i, "priority"))
            n->priority = (int)word_number(s, ++i);
        else if (word_is(s, i, "runid") && i + 1 < s->nwords)
            n->runid_digit = s->words[++i][0];
        else if (word_is(s, i, "volatile"))
            n->persistent = false;
        else if (word_is(s, i, "no-failover"))
            n->has_failover = false;
        else if (word_is(s, i, "forgets-role"))
            n->rewrites = false;
        else
            complain(s, "a node has no %s", s->words[i]);
    }
}

static void published(struct world *w, struct super *super, const struct sn_effect *e)
{
    struct stage *s = w->watcher;
    s->seen = mem_grow(s->seen, s->nseen, &s->cap_seen, sizeof *s->seen);
    struct seen *seen = &s->seen[s->nseen++];
    *seen = (struct seen){.event = e->name, .super = super->index};
    if (e->text != NULL)
        snprintf(seen->type, sizeof seen->type, "%.*s", (int)strcspn(e->text, " "), e->text);
}

static void settle(struct stage *s)
{
    if (s->plan.supers == 0 || group_now(s) == NULL || group_now(s)->replicas < 0) {
        complain(s, "supervisors, a group and a node are needed");
        return;
    }
    struct world *w = s->world = world_new(&s->plan, s->recording);
    w->watcher = s;
    w->published = published;
    while (w->violation == NULL && !all_acquainted(w)) {
        if (w->now_us > ACQUAINTED_WITHIN) {
            complain(s, "the supervisors have not got to know each other");
            return;
        }
        world_run(w, w->now_us + MS(100));
    }
    check_settled(w);
    world_run(w, w->now_us + SECONDS(1));
    w->calm = false; /* from here on a scenario disturbs it by itself */
    s->nseen = 0;
}

bool stage_set_up(struct stage *s)
{
    if (word_is(s, 0, "supervisors")) {
        int64_t n = word_number(s, 1);
        if (n < 1 || n > MAX_SUPERS)
            complain(s, "there may be 1 to %d supervisors", MAX_SUPERS);
        s->plan.supers = (int)n;
        s->plan.declared = word_is(s, 2, "declared");
        s->plan.ids_drawn = word_is(s, 2, "drawn-ids");
    } else if (word_is(s, 0, "group")) {
        set_up_group(s);
    } else if (word_is(s, 0, "node")) {
        set_up_node(s);
    } else if (word_is(s, 0, "delay")) {
        s->plan.delay_us = word_number(s, 1);
    } else if (word_is(s, 0, "sync-delay")) {
        s->plan.sync_delay_ms = word_number(s, 1);
    } else if (word_is(s, 0, "settle")) {
        settle(s);
    } else {
        return false;
    }
    return true;
}

/* --- what happens --- */

static void of_process(struct stage *s)
{
    struct world *w = s->world;
    bool host = word_is(s, 0, "power-off");
    if (word_is_super(s, 1)) {
        struct super *super = word_super(s, 1);
        if (word_is(s, 0, "kill") || host)
            super_crash(w, super, host);
        else if (word_is(s, 0, "start") && super->core == NULL)
            super_start(w, super);
        else if (word_is(s, 0, "stop"))
            super_stop(w, super);
        else if (word_is(s, 0, "continue"))
            super_continue(w, super);
        return;
    }
    struct node *n = word_node(s, 1);
    if (n == NULL)
        return;
    if (word_is(s, 0, "kill") || host)
        node_kill(w, n, host);
    else if (word_is(s, 0, "start"))
        node_start(w, n);
    else if (word_is(s, 0, "stop"))
        node_stop(w, n);
    else
        node_continue(w, n);
}

/* The ends named in word i, separated by commas. */
static int ends_of(struct stage *s, int i, int ends[MAX_ENDS])
{
    int n = 0;
    char *rest = NULL, *kept = i < s->nwords ? s->words[i] : NULL;
    for (char *name = kept != NULL ? strtok_r(kept, ",", &rest) : NULL; name != NULL && n < MAX_ENDS;
         name = strtok_r(NULL, ",", &rest)) {
        s->words[i] = name;
        if (word_is_super(s, i)) {
            ends[n++] = end_of_super(word_super(s, i)->index);
        } else {
            const struct node *node = word_node(s, i);
            if (node != NULL)
                ends[n++] = end_of_node(node->index);
        }
    }
    return n;
}

static void cut(struct stage *s)
{
    int from[MAX_ENDS], to[MAX_ENDS];
    bool one_way = word_is(s, 4, "one-way");
    int nfrom = ends_of(s, 1, from), nto = ends_of(s, 3, to);
    for (int a = 0; a < nfrom; a++)
        for (int b = 0; b < nto; b++) {
            net_cut(s->world, from[a], to[b]);
            s->cut[from[a]][to[b]]++;
            if (one_way)
                continue;
            net_cut(s->world, to[b], from[a]);
            s->cut[to[b]][from[a]]++;
        }
}

static void mend(struct stage *s)
{
    for (int a = 0; a < MAX_ENDS; a++)
        for (int b = 0; b < MAX_ENDS; b++)
            for (; s->cut[a][b] > 0; s->cut[a][b]--)
                net_mend(s->world, a, b);
}

static void by_hand(struct stage *s)
{
    struct node *n = word_node(s, 1), *to = word_is(s, 0, "point") ? word_node(s, 3) : NULL;
    if (n == NULL)
        return;
    if (to != NULL)
        repl_follow(s->world, n, to->index);
    else if (word_is(s, 0, "promote"))
        repl_promote(s->world, n);
}

static int word_group(struct stage *s, int i)
{
    for (int k = 0; i < s->nwords && k < s->plan.groups; k++)
        if (strcmp(s->groups[k], s->words[i]) == 0)
            return k;
    complain(s, "word %d of the line must be the name of a group", i + 1);
    return -1;
}

static void operate(struct stage *s)
{
    struct super *super = word_super(s, 1);
    if (super == NULL)
        return;
    if (word_is(s, 0, "failover")) {
        int group = word_group(s, 2);
        if (group >= 0)
            s->operation = super_failover(s->world, super, group, word_is(s, 3, "coordinated"));
        return;
    }
    struct sn_event e = {.kind = SN_EV_SIMULATE,
                         .number = word_is(s, 3, "election") ? SN_CRASH_AFTER_ELECTION : SN_CRASH_AFTER_PROMOTION};
    super_operate(s->world, super, &e, -1);
}

/* pause S GROUP MS, resume S GROUP */
static void pausing(struct stage *s)
{
    struct super *super = word_super(s, 1);
    int group = super != NULL ? word_group(s, 2) : -1;
    const struct slice words[] = {slice_of("operator"), slice_of("a scenario")};
    struct sn_event e = {.kind = SN_EV_RESUME, .argv = words, .count = 2};
    if (group < 0)
        return;
    if (word_is(s, 0, "pause")) {
        e.kind = SN_EV_PAUSE;
        e.number = word_number(s, 3);
    }
    s->operation = super_operate(s->world, super, &e, group);
}

/* remove S GROUP, monitor S GROUP, set S GROUP OPTION VALUE, file S GROUP NODE */
static void change(struct stage *s)
{
    struct super *super = word_super(s, 1);
    int group = super != NULL ? word_group(s, 2) : -1;
    if (group < 0)
        return;
    if (word_is(s, 0, "remove")) {
        operator_removes(s->world, super, group, false);
    } else if (word_is(s, 0, "monitor")) {
        operator_monitors(s->world, super, group, false);
    } else if (word_is(s, 0, "file")) {
        const struct node *n = word_node(s, 3);
        s->operation = n != NULL ? operator_names(s->world, super, group, n) : NULL;
    } else if (s->nwords == 5) {
        s->operation = operator_sets(s->world, super, group, s->words[3], s->words[4]);
    } else {
        complain(s, "an option and its value are needed");
    }
}

static void lose_state(struct stage *s)
{
    struct super *super = word_super(s, 1);
    if (super != NULL && super->core != NULL)
        complain(s, "it must be killed first");
    else if (super != NULL)
        super_wipe(s->world, super);
}

static void ask_again(struct stage *s)
{
    struct super *super = word_super(s, 1);
    if (super != NULL)
        super_asked_again(s->world, super);
}

static void of_super(struct stage *s)
{
    struct super *super = word_super(s, 1);
    if (super == NULL)
        return;
    if (word_is(s, 0, "jump"))
        super_jump(s->world, super, MS(word_number(s, 2)));
    if (word_is(s, 0, "disk")) {
        super->disk.full = word_is(s, 2, "full");
        super->disk.slow_us = word_is(s, 2, "slow") ? MS(800) : 0;
    }
}

/* hook s1 yes 100: its hook agrees after 100 ms. no, silent and none are the other policies. */
static void of_hook(struct stage *s)
{
    static const char *const names[] = {
        [CONSENT_NOT_ASKED] = "none", [CONSENT_YES] = "yes", [CONSENT_NO] = "no", [CONSENT_SILENT] = "silent"};
    struct super *super = word_super(s, 1);
    for (size_t i = 0; super != NULL && i < sizeof names / sizeof *names; i++)
        if (word_is(s, 2, names[i])) {
            bool timed = i == CONSENT_YES || i == CONSENT_NO;
            consent_policy(s->world, super, (enum consent)i, timed ? MS(word_number(s, 3)) : 0);
            return;
        }
    complain(s, "word 3 of the line must be yes, no, silent or none");
}

bool stage_act(struct stage *s)
{
    static const struct {
        const char *word;
        void (*act)(struct stage *);
    } table[] = {
        {"kill", of_process},  {"power-off", of_process}, {"start", of_process},
        {"stop", of_process},  {"continue", of_process},  {"cut", cut},
        {"mend", mend},        {"promote", by_hand},      {"point", by_hand},
        {"failover", operate}, {"crash", operate},        {"jump", of_super},
        {"disk", of_super},    {"hook", of_hook},         {"remove", change},
        {"monitor", change},   {"set", change},           {"file", change},
        {"wipe", lose_state},  {"ask-again", ask_again},  {"pause", pausing},
        {"resume", pausing},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (word_is(s, 0, table[i].word)) {
            table[i].act(s);
            return true;
        }
    if (word_is(s, 0, "run"))
        world_run(s->world, s->world->now_us + MS(word_number(s, 1)));
    else if (word_is(s, 0, "mark"))
        s->nseen = 0;
    else if (word_is(s, 0, "writes"))
        for (int i = 0; i < s->plan.groups; i++)
            s->world->groups[i].writing = word_is(s, 1, "on");
    else
        return false;
    return true;
}
