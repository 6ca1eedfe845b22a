/* Values as RDB has them: the payload of DUMP and RESTORE, and the body of a value in an RDB file.
 *
 * Written are the encodings of RDB version 10 (Redis 7.0). Read are all those of versions up to 12, and of Valkey's
 * version 80, for the types that this node has; what it has not (streams, modules, hash fields with expiry) is refused
 * by name. Bytes from outside are checked deeply: no payload, whatever its checksum says, gives a value that is not
 * well formed. */
#ifndef STORE_DUMP_H
#define STORE_DUMP_H

#include "noded/store/value.h"

#define ND_RDB_VERSION 10
#define ND_RDB_VERSION_MAX 12 /* of Redis, and of Valkey before its version 9 */
#define ND_RDB_VERSION_VALKEY 80
bool nd_rdb_version_is_known(uint64_t version);

/* RDB's number of the value's type and encoding, 0-255. */
int nd_dump_type(const struct nd_value *v);
/* Appends the value's body, without type and key. compress: strings of more than 20 bytes by LZF when that is shorter.
 */
void nd_dump_value(struct buf *out, const struct nd_value *v, bool compress);
void nd_dump_length(struct buf *out, uint64_t n);
void nd_dump_string(struct buf *out, struct slice s, bool compress);

/* Reads a body of RDB type `type` from the front of *in, which becomes what follows. false: damaged or unknown; the
 * reason is appended to why. limits decide the encoding that the value gets. */
bool nd_load_value(struct slice *in, int type, const struct nd_limits *limits, struct nd_value *out, struct buf *why);
bool nd_load_length(struct slice *in, uint64_t *out);
bool nd_load_string(struct slice *in, struct buf *out); /* appends */
/* A string: of the input itself when it stands there plainly, else put into memory, which is cleared first. Good until
 * either changes. */
bool nd_load_view(struct slice *in, struct buf *memory, struct slice *out);
/* What a type of RDB is that other servers have and this one has not: "a stream"; NULL for all others. */
const char *nd_load_unknown(int type);

/* DUMP's payload: type, body, RDB version (u16 LE), CRC64. */
void nd_dump_payload(struct buf *out, const struct nd_value *v, bool compress);
enum nd_payload {
    ND_PAYLOAD_OK,
    ND_PAYLOAD_VERSION, /* "DUMP payload version or checksum are wrong" */
    ND_PAYLOAD_BAD,     /* "Bad data format" */
};
enum nd_payload nd_load_payload(struct slice payload, const struct nd_limits *limits, struct nd_value *out,
                                struct buf *why);

/* CRC-64/Jones as Redis uses it. crc is 0 at first. */
uint64_t nd_crc64(uint64_t crc, const void *p, size_t n);

#endif
