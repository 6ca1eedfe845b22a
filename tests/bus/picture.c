/* The world as it stands when a rule breaks: each node, whom it follows, and what it still has to do for migrations. */
#include "tests/bus/world.h"

#include <stdio.h>

static void put_slots(const struct world *w, const uint8_t *slots)
{
    int watched = 0;
    for (int i = 0; i < WATCHED; i++)
        if (cl_bit(slots, w->migrations.ledger.watched[i]))
            printf("%s%d", watched++ > 0 ? "," : "", w->migrations.ledger.watched[i]);
}

static void put_records(struct world *w, const struct node *n)
{
    const struct cl_shard_state *s = &n->core->shard;
    for (size_t i = 0; i < s->nrecords; i++) {
        const struct cl_open_record *r = &s->records[i];
        printf("      record %02x%02x%02x at %llu, %s to %s%s%s%s%s: ", r->r.job.b[0], r->r.job.b[1], r->r.job.b[2],
               (unsigned long long)r->r.epoch, id_name(w, &r->r.source), id_name(w, &r->r.target),
               r->r.taking ? ", taking" : "", r->silent ? ", silent" : "", r->resuming ? ", resuming" : "",
               r->ask_us == HEAP_NEVER ? ", not granted" : "");
        put_slots(w, r->r.slots);
        for (int k = 0; k < WATCHED; k++) {
            const struct cl_node *owner = cl_bit(r->r.slots, w->migrations.ledger.watched[k])
                                              ? cl_owner(n->core, w->migrations.ledger.watched[k])
                                              : NULL;
            if (owner != NULL)
                printf("; %d is of %s at %llu%s", w->migrations.ledger.watched[k], id_name(w, &owner->id),
                       (unsigned long long)owner->config_epoch,
                       cl_bit(n->core->unclaimed, w->migrations.ledger.watched[k]) ? ", not claimed" : "");
        }
        printf("\n");
    }
}

static void put_jobs(struct world *w, const struct node *n)
{
    struct cl_job_row row;
    for (size_t it = 0; cl_next_job(n->core, &it, &row);)
        if (row.state < CL_JOB_SUCCESS)
            printf("      job %02x%02x%02x, %s to %s, %s\n", row.name.b[0], row.name.b[1], row.name.b[2],
                   id_name(w, &row.source), id_name(w, &row.target), cl_job_state_name(row.state));
}

static void put_node(struct world *w, const struct node *n)
{
    const struct cl_node *me = n->core->me;
    char shard[CL_ID_DIGITS + 1];
    printf("  %s: %s%s, epochs %llu/%llu, %d slots, shard %.6s, state %llu of %llu%s%s%s\n", node_name(n->index),
           cl_is_master(n->core) ? "master" : "replica of ", me->master != NULL ? id_name(w, &me->master->id) : "",
           (unsigned long long)me->config_epoch, (unsigned long long)n->core->current_epoch, me->nslots,
           cl_id_text(&me->shard, shard), (unsigned long long)n->core->claim.state_version,
           (unsigned long long)n->core->shard.version, cl_ok(n->core) ? "" : ", not ok",
           cl_is_sure(n->core) ? "" : ", not sure", n->stopped ? ", stopped" : "");
    put_records(w, n);
    put_jobs(w, n);
}

void record_picture(struct world *w)
{
    for (int i = 0; i < w->plan.nodes; i++)
        if (w->nodes[i].core != NULL)
            put_node(w, &w->nodes[i]);
        else
            printf("  %s is down\n", node_name(i));
}
