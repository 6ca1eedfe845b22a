/* PFAIL is what one node sees; FAIL is what a majority of the masters with slots sees. Whoever can count the majority
 * tells everybody. */
#include "noded/cluster/state.h"

#include "common/base/mem.h"

#include <string.h>

static int64_t report_life_us(const struct cl_core *c)
{
    return 2 * cl_timeout_us(c);
}

void cl_report_add(struct cl_core *c, struct cl_node *n, struct cl_node *by)
{
    for (size_t i = 0; i < n->nreports; i++)
        if (n->reports[i].by == by) {
            n->reports[i].at_us = c->now_us;
            cl_fail_if_agreed(c, n);
            return;
        }
    n->reports = mem_grow(n->reports, n->nreports, &n->cap_reports, sizeof *n->reports);
    n->reports[n->nreports++] = (struct cl_report){by, c->now_us};
    cl_fail_if_agreed(c, n);
}

void cl_report_drop(struct cl_core *c, struct cl_node *n, const struct cl_node *by)
{
    (void)c;
    for (size_t i = 0; i < n->nreports; i++)
        if (n->reports[i].by == by) {
            n->reports[i] = n->reports[--n->nreports];
            return;
        }
}

void cl_reports_forget(struct cl_core *c, const struct cl_node *by)
{
    struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        cl_report_drop(c, n, by);
}

/* Those of masters that have slots now, and that are not too old. */
int cl_reports_count(struct cl_core *c, struct cl_node *n)
{
    int count = 0;
    size_t kept = 0;
    for (size_t i = 0; i < n->nreports; i++) {
        if (c->now_us - n->reports[i].at_us > report_life_us(c))
            continue;
        n->reports[kept++] = n->reports[i];
        count += cl_votes_here(n->reports[i].by) ? 1 : 0;
    }
    n->nreports = kept;
    return count;
}

static int majority(const struct cl_core *c)
{
    int size = 0;
    struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        size += cl_votes_here(n) ? 1 : 0;
    return PLANTED(4, size / 2 + 1, 1);
}

void cl_fail_if_agreed(struct cl_core *c, struct cl_node *n)
{
    if (!cl_has(n, CL_PFAIL) || cl_has(n, CL_FAILED))
        return;
    int held = cl_reports_count(c, n) + (cl_votes_here(c->me) ? 1 : 0);
    if (held < majority(c))
        return;
    CL_LOG(c, NOTICE, "Node %s:%u is failing: %d masters agree", n->ip, (unsigned)n->port, held);
    cl_failed(c, n, true);
}

void cl_failed(struct cl_core *c, struct cl_node *n, bool tell)
{
    cl_flags_set(c, n, CL_FAILED, CL_PFAIL);
    n->failed_us = c->now_us;
    if (tell)
        cl_tell_failed(c, n);
    if (c->manual.replica == n)
        cl_manual_end(c);
}

/* Whoever needs to count the reports gets them at once: the replicas of the one that is silent, which stand for it, and
 * a few masters that all agree upon, for the case that it has none. Not everybody: that would be a square of masters
 * for each node that dies. */
static void report(struct cl_core *c, struct cl_node *silent)
{
    struct cl_node *n, *few[3] = {NULL, NULL, NULL};
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;) {
        if (n == c->me || n == silent || n->link_state != CL_LINK_UP || cl_has(n, CL_PFAIL | CL_FAILED | CL_HANDSHAKE))
            continue;
        if (n->master == silent && cl_has(n, CL_REPLICA))
            cl_send_greeting(c, n->link, n, CL_PONG, silent);
        if (!cl_votes_here(n))
            continue;
        for (size_t i = 0; i < 3; i++)
            if (few[i] == NULL || cl_id_cmp(&n->id, &few[i]->id) < 0) {
                struct cl_node *larger = few[i];
                few[i] = n;
                n = larger;
                if (n == NULL)
                    break;
            }
    }
    for (size_t i = 0; i < 3; i++)
        if (few[i] != NULL)
            cl_send_greeting(c, few[i]->link, few[i], CL_PONG, silent);
}

void cl_suspect(struct cl_core *c, struct cl_node *n)
{
    cl_flags_set(c, n, CL_PFAIL, 0);
    CL_LOG(c, DEBUG, "Node %s:%u has not been heard for the node timeout", n->ip, (unsigned)n->port);
    cl_fail_if_agreed(c, n);
    if (cl_votes_here(c->me) && !cl_has(n, CL_FAILED))
        report(c, n);
}

/* A node that was heard works. One that a majority held for failed stays so for a while when it is a master with slots:
 * an election may be under way, and its end is to be seen first. Not under supervisors: no node elects there, and what
 * is left of such a judgement when they release the cluster would replace a master that works. */
void cl_works_again(struct cl_core *c, struct cl_node *n)
{
    if (cl_has(n, CL_PFAIL)) {
        cl_flags_set(c, n, 0, CL_PFAIL);
        c->looks = true;
    }
    if (!cl_has(n, CL_FAILED))
        return;
    if (cl_votes_here(n) && !cl_fenced(c) && c->now_us - n->failed_us <= 2 * cl_timeout_us(c))
        return;
    CL_LOG(c, NOTICE, "Node %s:%u works again", n->ip, (unsigned)n->port);
    cl_flags_set(c, n, 0, CL_FAILED);
}
