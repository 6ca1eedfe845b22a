#include "noded/shell/facts.h"

#include "noded/shell/memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void collect_times(struct nd_facts *out)
{
    struct rusage self, children, thread;
    getrusage(RUSAGE_SELF, &self);
    getrusage(RUSAGE_CHILDREN, &children);
    getrusage(RUSAGE_THREAD, &thread);
    out->cpu_user = seconds(self.ru_utime);
    out->cpu_sys = seconds(self.ru_stime);
    out->cpu_user_children = seconds(children.ru_utime);
    out->cpu_sys_children = seconds(children.ru_stime);
    out->cpu_user_main = seconds(thread.ru_utime);
    out->cpu_sys_main = seconds(thread.ru_stime);
}

/* Resident pages: the second number of statm. */
static size_t resident_bytes(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *space = strchr(text, ' ');
    return space != NULL ? strtoull(space, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

static const char *system_name(void)
{
    static char name[3 * sizeof((struct utsname *)0)->sysname];
    struct utsname u;
    if (name[0] == '\0' && uname(&u) == 0)
        snprintf(name, sizeof name, "%s %s %s", u.sysname, u.release, u.machine);
    return name;
}

static const char *compiler(void)
{
    static char version[16];
    snprintf(version, sizeof version, "%d.%d.%d", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
    return version;
}

void facts_collect(struct nd_facts *out)
{
    struct sysinfo system;
    struct rlimit files;
    collect_times(out);
    memory_facts(out);
    out->rss = resident_bytes();
    out->total_system = sysinfo(&system) == 0 ? (size_t)system.totalram * system.mem_unit : 0;
    out->pid = getpid();
    out->os = system_name();
    out->arch_bits = sizeof(void *) == 8 ? "64" : "32";
    out->gcc_version = compiler();
    out->fds_max = getrlimit(RLIMIT_NOFILE, &files) == 0 ? (int64_t)files.rlim_cur : 0;
}
