/* A fleet: one supervised cluster. Its nodes tell by CLUSTER NODES who belongs to it, who is a master of which slots
 * and at which config epoch; every shard is a group (state.h), with all of a group's machinery.
 *
 *   core --< fleet --< shard --- group
 *              \----< member --- node     a member is one node id: where it is reached, and its part (inst) in a group
 *
 * A member is known by its id. Its address is an attribute: an inst moves to another sn_node with it. For readers, as
 * state.h; only the core writes it. */
#ifndef CORE_FLEET_H
#define CORE_FLEET_H

#include "sentineld/core/cluster_nodes.h"
#include "sentineld/core/state.h"
#include "sentineld/core/swap_state.h"

struct sn_slots {
    uint64_t bits[SN_SLOTS / 64];
};

struct sn_member {
    struct sn_fleet *fleet;
    runid id;
    struct sn_node *node; /* where it is reached; NULL: nobody knows an address */
    struct sn_inst *inst; /* its part in a shard; NULL: it is in none (a master without slots, not met yet) */
    /* As it told last itself, or, where it cannot, as others tell. */
    bool master;
    bool failing;           /* the last teller holds it for failed ("fail") */
    bool nofailover;        /* it does not stand for election by itself */
    runid follows;          /* of a replica: the id of its master */
    runid shard_id;         /* "" unknown */
    uint64_t epoch;         /* config epoch, of a replica that of its master */
    struct sn_slots *slots; /* that it claims; NULL: none */
    unsigned nslots;
    int64_t own_us;    /* when it told of itself, 0 never */
    int64_t told_us;   /* when somebody told of it */
    int64_t agreed_us; /* when it last told that it has every shard as we have it, 0 never */
    uint64_t view;     /* digest of its own last text; 0: it does not tell digests */
    /* who lists it, in this round of tellers */
    unsigned round_listed;
    bool round_told, round_seen;
    unsigned unlisted; /* rounds, in a row, in which most did not list it */
    size_t line;       /* in the text of number `text` */
    uint64_t text;
    int64_t idle_us;  /* since when it is a master without slots and replicas by its own word; 0: it is not */
    int64_t asked_us; /* when it was last asked because of a doubt */
    int64_t moved_us; /* when its address last changed */
};

struct sn_shard {
    struct sn_fleet *fleet;
    struct sn_group *group;
    runid id;              /* shard id; "": the nodes tell none */
    struct sn_slots slots; /* that its masters had last */
    unsigned nslots;
    /* The name: fixed once it is settled, that is stored, or said by another supervisor too, or not contradicted. */
    bool settled;
    int64_t named_us;
    int64_t rival_us;       /* since when another supervisor says another name; 0: nobody did */
    int64_t rival_heard_us; /* and when it said so last */
    int64_t answered_us;    /* when ours was last told to one who said another */
    int64_t empty_us;       /* since when it has neither slots nor replicas; 0: it has */
    int64_t switched_us;    /* when its master became one, as far as all live nodes have not agreed yet; 0: they have */
    int64_t changed_us;     /* when its master last changed, as far as this life knows; 0: never */
    int64_t froze_us;       /* when others were last told that migrations with it are frozen; 0: they are not */
};

#define SN_FLEET_LEFT 8

enum sn_fleet_state {
    SN_FLEET_WATCHED,
    SN_FLEET_RELEASING, /* given up: its nodes are told to elect by themselves again; it has no shards any more */
};

struct sn_fleet {
    struct sn_core *core;
    char *name;
    enum sn_fleet_state state;
    struct sn_settings set; /* of shards that are found from now on, and the login of all nodes */
    struct addr *seeds;
    size_t nseeds;
    struct sn_node **seed_nodes; /* one for each */
    struct sn_member **members;
    size_t nmembers, cap_members;
    struct map by_id; /* node id -> member */
    struct sn_shard **shards;
    size_t nshards, cap_shards;
    struct sn_timer timer;
    bool touched;
    struct sn_fleet *next_touched;
    int64_t born_us;                    /* since when it is watched in this life */
    int64_t lease_us;                   /* 0: no leases */
    uint64_t epoch;                     /* the greatest config epoch heard of: ballots take one above */
    uint64_t vote_epoch;                /* the greatest for which a vote was given in any of its shards (SAFETY E1) */
    runid led_by;                       /* whom the last vote of ours in any of its shards was given to, */
    int64_t led_us;                     /* and when; 0: to nobody but ourselves */
    bool dirty;                         /* to be persisted at the end of the step */
    int64_t told_us;                    /* when a text last came; 0 never */
    int64_t turn_us;                    /* when the next one is asked */
    int64_t swept_us;                   /* when all of it was last looked through */
    size_t turn;                        /* place in members */
    int64_t round_us;                   /* when the round of tellers began */
    unsigned round_tellers, round_seen; /* whose lists count, and all that told */
    uint64_t texts;                     /* how many came */
    int64_t doubt_us; /* until then it is asked more often: somebody tells something new of who belongs to it */
    int64_t meet_us;  /* as of a group (state.h) */
    bool added;
    int64_t hello_us;        /* when hello was last published on one of its nodes */
    size_t hello_turn;       /* which shard is told of next */
    struct sn_node *ears[2]; /* where hellos are listened to */
    int64_t switched_us;     /* when one of its shards last got another master */
    uint64_t read_view;      /* digest of the last text; 0: its teller tells none */
    int64_t read_us;         /* since when a text is waited for that may spare others; 0: none */
    int64_t news_us;         /* when one that knows something new was last asked for its text */
    uint64_t agreed_view;    /* digest of a text that has every shard as we have it now; 0: none is known */
    int64_t release_us;      /* RELEASING: since */
    uint64_t release_seq;    /* its nodes are told when this is on disk */
    bool release_joint;      /* other supervisors give it up too, and so its nodes are to be nobody's in the end */
    sn_token release_token;  /* who waits for it, 0: nobody */
    bool foreign_told;
    runid left[SN_FLEET_LEFT]; /* whom the cluster has forgotten lately, in a ring; "": nobody */
    size_t nleft;
    struct sn_swapping swap; /* of databases over all its masters */
};

struct sn_fleet *sn_fleet_find(const struct sn_core *c, struct slice name); /* NULL: none */
struct sn_member *sn_member_find(const struct sn_fleet *f, const char *id);
/* How many slots have a master that is not S_DOWN; *assigned: have a master at all. 0-16384. */
unsigned sn_fleet_covered(const struct sn_fleet *f, unsigned *assigned);
/* Whether all live nodes of the fleet agree on who owns which slots, as far as they told since the last change. */
bool sn_fleet_agrees(const struct sn_fleet *f);
/* This supervisor knows what was decided of swaps before it was on its present list, so it votes and leads. */
bool sn_swap_may_decide(const struct sn_fleet *f);
/* Why no swap of databases can begin now, and whose fault that is; NULL: nothing hinders one. The text is in `out`. */
const char *sn_swap_hindered(const struct sn_fleet *f, char out[SN_SWAP_WHY]);
bool sn_slots_has(const struct sn_slots *s, unsigned slot);

#endif
