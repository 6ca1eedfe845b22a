/* RDB's numbers: types of values, forms of a length. For whoever reads or writes these bytes. */
#ifndef STORE_DUMP_TYPES_H
#define STORE_DUMP_TYPES_H

enum {
    RDB_STRING = 0,
    RDB_LIST = 1,
    RDB_SET = 2,
    RDB_ZSET = 3, /* scores as text */
    RDB_HASH = 4,
    RDB_ZSET_2 = 5, /* scores as eight bytes */
    RDB_MODULE_OLD = 6,
    RDB_MODULE = 7,
    RDB_HASH_ZIPMAP = 9,
    RDB_LIST_ZIPLIST = 10,
    RDB_SET_INTSET = 11,
    RDB_ZSET_ZIPLIST = 12,
    RDB_HASH_ZIPLIST = 13,
    RDB_LIST_QUICKLIST = 14, /* nodes are ziplists */
    RDB_STREAM = 15,
    RDB_HASH_LISTPACK = 16,
    RDB_ZSET_LISTPACK = 17,
    RDB_LIST_QUICKLIST_2 = 18, /* nodes are listpacks or one plain element */
    RDB_STREAM_2 = 19,
    RDB_SET_LISTPACK = 20, /* 7.2 */
    RDB_STREAM_3 = 21,
    RDB_HASH_METADATA_OLD = 22, /* 7.4: hashes with fields that expire */
    RDB_HASH_LISTPACK_EX_OLD = 23,
    RDB_HASH_METADATA = 24,
    RDB_HASH_LISTPACK_EX = 25,
};

/* The two highest bits of the first byte of a length. */
enum { RDB_LENGTH_6 = 0, RDB_LENGTH_14 = 1, RDB_LENGTH_LONG = 2, RDB_SPECIAL = 3 };
enum { RDB_LENGTH_32 = 0x80, RDB_LENGTH_64 = 0x81 };
/* The six lowest bits behind RDB_SPECIAL. */
enum { RDB_INT8 = 0, RDB_INT16 = 1, RDB_INT32 = 2, RDB_LZF = 3 };

enum { RDB_NODE_PLAIN = 1, RDB_NODE_PACKED = 2 };

#endif
