/* RDB's numbers beside those of its values: the frame of the file. For rdb_write.c and rdb_read*.c. */
#ifndef REPL_RDB_FORMAT_H
#define REPL_RDB_FORMAT_H

#define RDB_MAGIC "REDIS"
#define RDB_MAGIC_VALKEY "VALKEY" /* since its version 9 */
#define RDB_HEADER_BYTES 9        /* the magic, and the digits of the version in what is left */
#define RDB_CHECKSUM_BYTES 8
#define RDB_CHECKSUM_SINCE 5 /* version */

/* Fields of a cluster node's file: at which number its shadow databases begin (store/keyspace.h), and the epoch of its
 * mapping of databases. */
#define RDB_AUX_DATABASES "cluster-databases"
#define RDB_AUX_MAPPING "mapping-epoch"
/* Of a dataset without keys: it had some in the life of who wrote it (nd_keyspace_emptied()). A replica that takes it
 * knows by this, when it is the master one day, that its empty dataset is no lost one. */
#define RDB_AUX_EMPTIED "emptied"

/* Above every type of a value. */
enum {
    RDB_OP_SLOT_INFO = 244, /* 7.4, cluster: how many keys a slot has */
    RDB_OP_FUNCTION_2 = 245,
    RDB_OP_FUNCTION_OLD = 246,
    RDB_OP_MODULE_AUX = 247,
    RDB_OP_IDLE = 248, /* seconds since the last use of the key that follows */
    RDB_OP_FREQ = 249, /* its LFU counter, a byte */
    RDB_OP_AUX = 250,
    RDB_OP_RESIZE = 251,
    RDB_OP_EXPIRE_MS = 252, /* of the key that follows: Unix ms, 8 bytes LE */
    RDB_OP_EXPIRE_S = 253,  /* Unix seconds, 4 bytes LE */
    RDB_OP_SELECT = 254,
    RDB_OP_END = 255,
};

#endif
