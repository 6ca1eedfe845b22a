/* The families of commands: each is an array of rows beside its functions, ended by a row without a name. A new family
 * gets a line here and is then found, run, counted and documented. */
#ifndef CMD_FAMILIES_H
#define CMD_FAMILIES_H

#include "noded/cmd/command.h"

#define ND_FAMILIES(X)           \
    X(nd_generic_commands)       \
    X(nd_expire_commands)        \
    X(nd_walk_commands)          \
    X(nd_database_commands)      \
    X(nd_transaction_commands)   \
    X(nd_pubsub_commands)        \
    X(nd_string_commands)        \
    X(nd_string_number_commands) \
    X(nd_string_range_commands)  \
    X(nd_string_lcs_commands)    \
    X(nd_bits_commands)          \
    X(nd_bitop_commands)         \
    X(nd_bitfield_commands)      \
    X(nd_list_commands)          \
    X(nd_list_move_commands)     \
    X(nd_list_pop_commands)      \
    X(nd_list_search_commands)   \
    X(nd_hash_commands)          \
    X(nd_hash_walk_commands)     \
    X(nd_set_commands)           \
    X(nd_set_algebra_commands)   \
    X(nd_set_random_commands)    \
    X(nd_zset_commands)          \
    X(nd_zset_range_commands)    \
    X(nd_zset_pop_commands)      \
    X(nd_zset_combine_commands)  \
    X(nd_zset_random_commands)   \
    X(nd_sort_commands)          \
    X(nd_dump_commands)          \
    X(nd_migrate_commands)       \
    X(nd_object_commands)        \
    X(nd_debug_commands)         \
    X(nd_config_commands)        \
    X(nd_connection_commands)    \
    X(nd_client_commands)        \
    X(nd_slowlog_commands)       \
    X(nd_latency_commands)       \
    X(nd_info_commands)          \
    X(nd_memory_commands)        \
    X(nd_server_commands)        \
    X(nd_command_commands)       \
    X(nd_cluster_commands)

#define ND_DECLARE_FAMILY(rows) extern const struct nd_command rows[];
ND_FAMILIES(ND_DECLARE_FAMILY)
#undef ND_DECLARE_FAMILY

#endif
