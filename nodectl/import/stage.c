#include "nodectl/import/stage.h"

#include "common/base/mem.h"
#include "common/io/conf.h"
#include "common/io/file.h"
#include "nodectl/fleet.h"
#include "nodectl/import/stage_files.h"
#include "nodectl/interrupt.h"
#include "nodectl/local/ports.h"
#include "nodectl/local/programs.h"
#include "nodectl/local/remove.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT_FIRST 20000
#define PORTS 10000
#define DATABASES 16384
#define LOOK_MS 20
#define ANSWER_MS 5000
#define LOG_MAX 65536

static bool make_folder(struct stage *s, struct buf *why)
{
    const char *tmp = getenv("TMPDIR");
    struct buf name = {0};
    buf_printf(&name, "%s/nodectl-import-XXXXXX", tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
    s->folder = slice_dup(buf_slice(&name));
    buf_free(&name);
    if (mkdtemp(s->folder) != NULL)
        return true;
    buf_printf(why, "%s: %s (TMPDIR says where it is made)", s->folder, strerror(errno));
    free(s->folder);
    s->folder = NULL;
    return false;
}

static bool take_port(struct stage *s, struct ports *held, struct buf *why)
{
    for (int i = 0; i < PORTS; i++) {
        int port = PORT_FIRST + (getpid() + i) % PORTS;
        if (ports_hold_free(held, "127.0.0.1", port, 0))
            return addr_set(&s->addr, slice_of("127.0.0.1"), port);
    }
    buf_puts(why, "no port of this host is free");
    return false;
}

static bool write_config(struct stage *s, const struct stage_files *f, struct buf *why)
{
    struct buf path = {0}, text = {0};
    buf_printf(&path, "%s/noded.conf", s->folder);
    buf_printf(&text, "port = %d;\nbind = [ \"127.0.0.1\" ];\nrequirepass = \"%s\";\nsave = \"\";\ndatabases = %d;\n",
               (int)s->addr.port, s->password, DATABASES);
    buf_printf(&text, "appendonly = %s;\nappendfsync = \"no\";\nauto_aof_rewrite_percentage = 0;\ndir = ",
               f->append_only ? "true" : "false");
    conf_write_string(&text, slice_of(s->folder));
    buf_puts(&text, ";\nrepl_diskless_sync_delay = 0;\nappendfilename = ");
    conf_write_string(&text, slice_of(f->append_only ? f->name : "appendonly.aof"));
    buf_puts(&text, ";\n");
    int fd = open(buf_str(&path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && io_write_all(fd, buf_slice(&text));
    if (!ok)
        buf_printf(why, "%s: %s", buf_str(&path), strerror(errno));
    if (fd >= 0)
        close(fd);
    buf_free(&path);
    buf_free(&text);
    return ok;
}

/* In the child: it ends when we do, whatever ends us. */
static void become(const char *program, const char *folder)
{
    sigset_t none;
    sigemptyset(&none);
    int in = open("/dev/null", O_RDONLY), out = -1;
    if (chdir(folder) == 0)
        out = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (in >= 0 && out >= 0 && dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)setpgid(0, 0); /* Ctrl-C is ours */
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)execl(program, program, "noded.conf", (char *)NULL);
    }
    _exit(127);
}

static bool start(struct stage *s, struct buf *why)
{
    char *program = program_beside("noded", why);
    if (program == NULL)
        return false;
    pid_t child = fork();
    if (child == 0)
        become(program, s->folder);
    free(program);
    s->pid = child > 0 ? child : 0;
    if (child < 0)
        buf_printf(why, "noded cannot be started: %s", strerror(errno));
    return child > 0;
}

static void put_log(const struct stage *s, struct buf *why)
{
    struct buf path = {0}, text = {0}, error = {0};
    buf_printf(&path, "%s/log", s->folder);
    if (io_file_read(buf_str(&path), LOG_MAX, &text, &error))
        buf_put(why, text.p, text.n);
    buf_free(&path);
    buf_free(&text);
    buf_free(&error);
}

/* 1: all is read, 0: not yet, -1: it has ended. */
static int look(struct stage *s)
{
    const char *login[] = {"AUTH", s->password}, *ping[] = {"PING"};
    struct fleet f;
    bool added;
    if (waitpid(s->pid, NULL, WNOHANG) == s->pid) {
        s->pid = 0;
        return -1;
    }
    fleet_init(&f, ANSWER_MS);
    struct fleet_member *m = fleet_add(&f, &s->addr, true, &added);
    fleet_ask(m, 2, login);
    fleet_ask(m, 1, ping);
    fleet_run(&f);
    const redisReply *r = fleet_answer(m);
    int ready = r != NULL && r->type == REDIS_REPLY_STATUS;
    fleet_free(&f);
    return ready;
}

static bool wait_ready(struct stage *s, const char *path, struct buf *why)
{
    int state = 0;
    while (state == 0 && interrupt_sleep(LOOK_MS))
        state = look(s);
    if (state < 0) {
        buf_printf(why, "%s cannot be read; noded says:\n", path);
        put_log(s, why);
    } else if (state == 0) {
        buf_puts(why, "interrupted");
    }
    return state == 1;
}

static bool draw_password(struct stage *s, struct buf *why)
{
    unsigned char bytes[RUNID_LEN / 2];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        buf_printf(why, "no password can be drawn: %s", strerror(errno));
        return false;
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(s->password + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

bool stage_begin(struct stage *s, const char *path, struct buf *why)
{
    struct stage_files files;
    struct ports held = {.n = 0};
    bool ok = (s->password[0] != '\0' || draw_password(s, why)) && make_folder(s, why) &&
              stage_files_put(&files, path, s->folder, why) && take_port(s, &held, why) &&
              write_config(s, &files, why) && start(s, why) && wait_ready(s, path, why);
    ports_free(&held);
    return ok;
}

void stage_end(struct stage *s)
{
    if (s->pid > 0) {
        (void)kill(s->pid, SIGKILL);
        (void)waitpid(s->pid, NULL, 0);
    }
    if (s->folder != NULL)
        (void)remove_below(AT_FDCWD, s->folder);
    free(s->folder);
    *s = (struct stage){.pid = 0};
}
