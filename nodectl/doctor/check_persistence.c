/* What would be left on disk. */
#include "nodectl/doctor/checks.h"

#include "nodectl/past.h"
#include "nodectl/reply_json.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool is_word(const json_t *o, const char *name, const char *word)
{
    return strcmp(field_text(o, name), word) == 0;
}

static void check_errors(const json_t *node, json_t *findings)
{
    const json_t *info = doctor_info(node);
    const char *where = field_text(node, "address");
    if (is_word(info, "rdb_last_bgsave_status", "err"))
        doctor_change(doctor_finding(findings, FINDING_CRITICAL, "persistence", where, "its last save failed%s",
                                     strcmp(doctor_config(node, "stop-writes-on-bgsave-error"), "yes") == 0
                                         ? ", and writes are refused until one succeeds"
                                         : ""),
                      "see its log: is the disk full, or %s not writable? Then BGSAVE", doctor_config(node, "dir"));
    if (is_word(info, "aof_last_write_status", "err"))
        doctor_change(
            doctor_finding(findings, FINDING_CRITICAL, "persistence", where,
                           "its append-only file could not be written: what was acknowledged since is not on disk"),
            "see its log, and make room on its disk");
    if (is_word(info, "aof_last_bgrewrite_status", "err"))
        doctor_change(doctor_finding(findings, FINDING_WARNING, "persistence", where,
                                     "the last rewrite of its append-only file failed: the file grows"),
                      "see its log; then BGREWRITEAOF");
}

static void check_kept(const json_t *node, json_t *findings)
{
    const char *where = field_text(node, "address"), *fsync = doctor_config(node, "appendfsync");
    bool aof = strcmp(doctor_config(node, "appendonly"), "yes") == 0, rdb = *doctor_config(node, "save") != '\0';
    if (json_object_size(json_object_get(node, "config")) == 0)
        return;
    if (!aof && !rdb)
        doctor_change(
            doctor_finding(findings, FINDING_WARNING, "persistence", where,
                           "it keeps nothing on disk (appendonly no, save \"\"): when all nodes of its shard restart, "
                           "its data is gone%s",
                           doctor_is_master(node) ? ", and a restarted master comes back empty" : ""),
            "CONFIG SET appendonly yes, and CONFIG REWRITE; or leave it so where it is a cache");
    else if (!aof)
        doctor_change(doctor_finding(findings, FINDING_NOTE, "persistence", where,
                                     "it saves now and then only (save \"%s\"): a restart loses what came since",
                                     doctor_config(node, "save")),
                      "CONFIG SET appendonly yes, and CONFIG REWRITE");
    else if (strcmp(fsync, "no") == 0)
        doctor_change(doctor_finding(findings, FINDING_NOTE, "persistence", where,
                                     "appendfsync is no: when the machine dies, half a minute of writes is lost"),
                      "CONFIG SET appendfsync everysec");
}

static void check_disk(const json_t *node, json_t *findings)
{
    int64_t free = json_int(node, "disk_free", -1), total = json_int(node, "disk_total", -1);
    int64_t used = field_number(doctor_info(node), "used_memory", 0);
    const char *where = field_text(node, "address");
    if (free < 0 || total <= 0)
        return;
    if (free * 20 < total)
        doctor_change(doctor_finding(findings, free * 100 < total ? FINDING_CRITICAL : FINDING_WARNING, "persistence",
                                     where, "of the disk under %s only %s of %s are free", doctor_config(node, "dir"),
                                     doctor_bytes(free), doctor_bytes(total)),
                      "make room there");
    else if (free < used + used / 5)
        doctor_change(
            doctor_finding(findings, FINDING_WARNING, "persistence", where,
                           "the disk under %s has %s free, which may be too little for a save of %s in memory",
                           doctor_config(node, "dir"), doctor_bytes(free), doctor_bytes(used)),
            "make room there");
}

void check_persistence(const json_t *facts, json_t *findings)
{
    size_t i;
    const json_t *node;
    json_array_foreach(json_object_get(facts, "nodes"), i, node)
    {
        if (*field_text(node, "error") != '\0')
            continue;
        check_errors(node, findings);
        check_kept(node, findings);
        check_disk(node, findings);
    }
}
