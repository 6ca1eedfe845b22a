"""The templates of each family, and how answers of a command are compared."""

FAMILIES = {
    "string": """
SET <s> <val> ?(EX <sec>|PX <ms>|EXAT <at>|PXAT <atms>|KEEPTTL) ?(NX|XX) ?GET
SET <s> <val>
GET <s>
SETNX <s> <val>
SETEX <s> <sec> <val>
PSETEX <s> <ms> <val>
GETSET <s> <val>
GETDEL <s>
GETEX <s> ?(EX <sec>|PX <ms>|EXAT <at>|PXAT <atms>|PERSIST)
MGET ...<any>
MSET ...(<s> <val>)
MSETNX ...(<s> <val>)
APPEND <s> <val>
STRLEN <s>
SETRANGE <s> <pos> <val>
GETRANGE <s> <idx> <idx>
SUBSTR <s> <idx> <idx>
INCR <s>
DECR <s>
INCRBY <s> <int>
DECRBY <s> <int>
INCRBYFLOAT <s> <float>
LCS <s> <s> ?(LEN|IDX) ?(MINMATCHLEN <idx>) ?WITHMATCHLEN
""",
    "bits": """
SET <s> <val>
SETBIT <s> <off> <bit>
GETBIT <s> <off>
BITCOUNT <s> ?(<idx> <idx> ?(BYTE|BIT))
BITPOS <s> <bit> ?(<idx> ?(<idx> ?(BYTE|BIT)))
BITOP (AND|OR|XOR|NOT|FOO) <s> ...<s>
BITFIELD <s> ...(GET <bftype> <bfoff>|SET <bftype> <bfoff> <int>|INCRBY <bftype> <bfoff> <int>)
BITFIELD <s> ...(OVERFLOW (WRAP|SAT|FAIL|X)|SET <bftype> <bfoff> <int>|INCRBY <bftype> <bfoff> <int>)
BITFIELD_RO <s> ...(GET <bftype> <bfoff>)
GET <s>
STRLEN <s>
""",
    "list": """
LPUSH <l> ...<val>
RPUSH <l> ...<val>
LPUSHX <l> ...<val>
RPUSHX <l> ...<val>
LPOP <l> ?<idx>
RPOP <l> ?<idx>
LLEN <l>
LINDEX <l> <idx>
LSET <l> <idx> <val>
LRANGE <l> <idx> <idx>
LTRIM <l> <idx> <idx>
LREM <l> <idx> <val>
LINSERT <l> (BEFORE|AFTER|X) <val> <val>
LPOS <l> <val> ?(RANK <idx>) ?(COUNT <idx>) ?(MAXLEN <idx>)
LMOVE <l> <l> (LEFT|RIGHT|UP) (LEFT|RIGHT)
RPOPLPUSH <l> <l>
LMPOP <pos> ...<l> (LEFT|RIGHT) ?(COUNT <idx>)
LMPOP 2 <l> <l> (LEFT|RIGHT) ?(COUNT <idx>)
LRANGE <l> 0 -1
""",
    "hash": """
HSET <h> ...(<field> <val>)
HSET <h> ...(<mem> <val>)
HMSET <h> ...(<field> <val>)
HSETNX <h> <field> <val>
HGET <h> <field>
HMGET <h> ...<field>
HGETALL <h>
HKEYS <h>
HVALS <h>
HLEN <h>
HSTRLEN <h> <field>
HEXISTS <h> <field>
HDEL <h> ...<field>
HDEL <h> ...<mem>
HINCRBY <h> <field> <int>
HINCRBYFLOAT <h> <field> <float>
HRANDFIELD <h> ?(<idx> ?WITHVALUES)
HSCAN <h> 0 ?(MATCH <pat>) COUNT 1000
""",
    "set": """
SADD <e> ...<mem>
SADD <e> ...<int>
SREM <e> ...<mem>
SCARD <e>
SISMEMBER <e> <mem>
SMISMEMBER <e> ...<mem>
SMEMBERS <e>
SMOVE <e> <e> <mem>
SINTER ...<e>
SUNION ...<e>
SDIFF ...<e>
SINTERSTORE <e> ...<e>
SUNIONSTORE <e> ...<e>
SDIFFSTORE <e> ...<e>
SINTERCARD <pos> ...<e> ?(LIMIT <idx>)
SINTERCARD 2 <e> <e> ?(LIMIT <pos>)
SPOP <e> ?<idx>
SRANDMEMBER <e> ?<idx>
SSCAN <e> 0 ?(MATCH <pat>) COUNT 1000
""",
    "zset": """
ZADD <z> ?(NX|XX) ?(GT|LT) ?CH ?INCR <score> <mem>
ZADD <z> ...(<score> <mem>)
ZADD <x> ...(0 <letters>)
ZADD <x> ...(0 <letters>)
ZREM <x> ...<letters>
ZCARD <x>
ZADD <z> ?(NX|XX) ?(GT|LT) ?CH ...(<score> <mem>)
ZINCRBY <z> <score> <mem>
ZREM <z> ...<mem>
ZCARD <z>
ZSCORE <z> <mem>
ZMSCORE <z> ...<mem>
ZRANK <z> <mem>
ZREVRANK <z> <mem>
ZCOUNT <z> <smin> <smax>
ZLEXCOUNT <x> <lmin> <lmax>
ZRANGE <z> <idx> <idx> ?REV ?WITHSCORES
ZRANGE <z> <smin> <smax> BYSCORE ?(LIMIT <idx> <idx>) ?WITHSCORES
ZRANGE <z> <smax> <smin> BYSCORE REV ?(LIMIT <idx> <idx>) ?WITHSCORES
ZRANGE <x> <lmin> <lmax> BYLEX ?(LIMIT <idx> <idx>)
ZRANGE <x> <lmax> <lmin> BYLEX REV ?(LIMIT <idx> <idx>)
ZRANGESTORE <z> <z> <idx> <idx> ?REV
ZRANGESTORE <z> <z> <smin> <smax> BYSCORE ?(LIMIT <idx> <idx>)
ZREVRANGE <z> <idx> <idx> ?WITHSCORES
ZRANGEBYSCORE <z> <smin> <smax> ?WITHSCORES ?(LIMIT <idx> <idx>)
ZREVRANGEBYSCORE <z> <smax> <smin> ?WITHSCORES ?(LIMIT <idx> <idx>)
ZRANGEBYLEX <x> <lmin> <lmax> ?(LIMIT <idx> <idx>)
ZREVRANGEBYLEX <x> <lmax> <lmin> ?(LIMIT <idx> <idx>)
ZREMRANGEBYRANK <z> <idx> <idx>
ZREMRANGEBYSCORE <z> <smin> <smax>
ZREMRANGEBYLEX <x> <lmin> <lmax>
ZPOPMIN <z> ?<idx>
ZPOPMAX <z> ?<idx>
ZMPOP 2 <z> <z> (MIN|MAX) ?(COUNT <idx>)
ZUNION 2 <z> (<z>|<e>) ?(WEIGHTS <score> <score>) ?(AGGREGATE (SUM|MIN|MAX|X)) ?WITHSCORES
ZINTER 2 <z> (<z>|<e>) ?(WEIGHTS <score> <score>) ?(AGGREGATE (SUM|MIN|MAX)) ?WITHSCORES
ZDIFF <pos> ...<z> ?WITHSCORES
ZDIFF 2 <z> <z> ?WITHSCORES
ZUNIONSTORE <z> 2 <z> (<z>|<e>) ?(WEIGHTS <score> <score>) ?(AGGREGATE (SUM|MIN|MAX))
ZINTERSTORE <z> 2 <z> <z> ?(WEIGHTS <score> <score>) ?(AGGREGATE (SUM|MIN|MAX))
ZDIFFSTORE <z> 2 <z> <z>
ZINTERCARD 2 <z> <z> ?(LIMIT <idx>)
ZRANDMEMBER <z> ?(<idx> ?WITHSCORES)
ZSCAN <z> 0 ?(MATCH <pat>) COUNT 1000
SADD <e> ...<mem>
""",
    "blocking": """
RPUSH <l> ...<val>
RPUSH <l> ...<val>
RPUSH <l> ...<val>
ZADD <z> ...(<score> <mem>)
ZADD <z> ...(<score> <mem>)
BLPOP ...<l> 0.01
BRPOP ...<l> 0.01
BLMOVE <l> <l> (LEFT|RIGHT) (LEFT|RIGHT) 0.01
BRPOPLPUSH <l> <l> 0.01
BLMPOP 0.01 1 <l> (LEFT|RIGHT) ?(COUNT <idx>)
BLPOP <l> (-1|x|nan|inf|1e300|0x)
BZPOPMIN ...<z> 0.01
BZPOPMAX ...<z> 0.01
BZMPOP 0.01 1 <z> (MIN|MAX) ?(COUNT <idx>)
""",
    "generic": """
SET <s> <val>
RPUSH <l> ...<int>
SADD <e> ...<mem>
HSET <h> ...(<field> <val>)
ZADD <z> ...(<score> <mem>)
DEL ...<any>
UNLINK ...<any>
EXISTS ...<any>
TOUCH ...<any>
TYPE <any>
EXPIRE <any> <sec> ?(NX|XX|GT|LT)
PEXPIRE <any> <ms> ?(NX|XX|GT|LT)
EXPIREAT <any> <at> ?(NX|XX|GT|LT)
PEXPIREAT <any> <atms> ?(NX|XX|GT|LT)
TTL <any>
PTTL <any>
EXPIRETIME <any>
PEXPIRETIME <any>
PERSIST <any>
RENAME <any> <any>
RENAMENX <any> <any>
COPY <any> <any> ?(DB <db>) ?REPLACE
MOVE <any> <db>
KEYS <pat>
SCAN 0 ?(MATCH <pat>) COUNT 1000 ?(TYPE (string|list|set|zset|hash|foo))
DBSIZE
SELECT <db>
SWAPDB <db> <db>
FLUSHDB ?(ASYNC|SYNC|X)
OBJECT ENCODING <any>
OBJECT REFCOUNT <any>
SORT <any> ?(BY (<pat>|nosort|s:*)) ?(LIMIT <idx> <idx>) ?(GET (<pat>|#)) ?(ASC|DESC) ?ALPHA
SORT (<l>|<e>|<z>) ?(LIMIT <idx> <idx>) ?(ASC|DESC) ALPHA
SORT (<l>|<z>) ALPHA STORE <l>
RANDOMKEY
DUMP <any>
""",
    "transaction": """
MULTI
MULTI
EXEC
EXEC
EXEC
DISCARD
WATCH ...<any>
UNWATCH
SET <s> <val>
GET <s>
INCR <s>
RPUSH <l> ...<int>
LPOP <l>
SELECT <db>
GET
FOO <val>
DEL ...<any>
""",
    "server": """
PING ?<val>
ECHO <val>
CLIENT GETNAME
CLIENT SETNAME <mem>
CLIENT REPLY X
CLIENT UNBLOCK <pos>
CLIENT NO-EVICT (ON|OFF|X)
CLIENT PAUSE <val>x
CLIENT KILL ID <idx>
CLIENT KILL TYPE <mem>
CLIENT LIST TYPE <mem>
SLOWLOG LEN
SLOWLOG RESET
SLOWLOG GET x
COMMAND GETKEYS (SET <s> <val>|GET <s>|MSET ...(<s> <val>)|ZUNION 2 <z> <z>|SORT <l> STORE <e>|BLPOP ...<l> 0|PING)
COMMAND GETKEYS (LMPOP 2 <l> <l> LEFT|ZUNIONSTORE <z> 2 <z> <z>|BITOP AND <s> ...<s>|OBJECT ENCODING <s>)
CONFIG GET (maxmemory|appendonly|databases|nothing|hash-max-listpack-entries)
CONFIG SET (hash-max-listpack-value|zset-max-listpack-value|list-max-listpack-size|maxmemory-samples) (64|128|x|0)
OBJECT HELP
AUTH <val>
AUTH default <val>
HELLO ?(2|4|x) ?(SETNAME <mem>)
SELECT 0
RESET
PUBLISH <val> <val>
PUBSUB NUMSUB ...<val>
PUBSUB NUMPAT
PUBSUB CHANNELS
DEBUG DIGEST-VALUE ...<any>
MEMORY USAGE nokey
UNKNOWN ...<val>
""",
}

# Families of which only so much of the commands are run: redis-server ends a wait of 10 ms after 100.
SHARE = {"blocking": 0.04}

# Answers in an order that is each server's own.
UNORDERED = {"SMEMBERS", "SINTER", "SUNION", "SDIFF", "HKEYS", "HVALS", "KEYS", "COMMAND LIST"}
PAIRS = {"HGETALL"}  # field, value, ... in an order of its own
SCANS = {"SCAN", "HSCAN", "SSCAN", "ZSCAN"}
# Drawn by chance: only the shape is compared, and the key is copied from one server to the other afterwards.
BY_CHANCE = {"SPOP", "SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER", "RANDOMKEY"}
TIMES = {"TTL": 1, "PTTL": 2000, "EXPIRETIME": 1, "PEXPIRETIME": 2000}
# Byte for byte the same is DUMP for what has one order.
SHAPE_ONLY = {"DUMP"}
