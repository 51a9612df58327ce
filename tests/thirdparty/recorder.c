/*
 * A plugin that writes each call and what it saw into the file named by the engine's key record=, and misbehaves where
 * keys and commands ask it to. What waits, waits until the file named by gate= is there.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include LAYOUT

/* Its offsets are those of the written interface, not of any header. */
#define ENGINE_TYPE(e) OF(e, engine, engine_type, int, 0)
#define ENGINE_NAME(e) OF(e, engine, name, char *, 8)
#define ENGINE_PARAMS(e) OF(e, engine, params, void *, 16)
#define ENGINE_PROJECT(e) ((void *)OF(e, engine, proj, void *, 24))
#define ENGINE_PAGE_REF(e) ((void *)OF(e, engine, page_ref, void *, 32))
#define ENGINE_OPS(e) ((void *)OF(e, engine, ops, void *, 40))
#define ENGINE_TASKS(e) ((void *)OF(e, engine, tasks, void *, 48))
#define ENGINE_PAGE_CNT(e) OF(e, engine, page_cnt, uint64_t, 56)
#define ENGINE_NEXT(e) ((void *)OF(e, engine, next, void *, 64))
#define ENGINE_HANDLER(e) OF(e, engine, handler, void *, 72)
#define PROJECT_NAME(p) OF(p, project, name, char *, 0)
#define PROJECT_TYPE(p) OF(p, project, type, int, 8)
#define PROJECT_SCAN(p) OF(p, project, scan_param, void *, 16)
#define PROJECT_SYSMEM(p) OF(p, project, sysmem_threshold, int, 24)
#define PROJECT_HIGH(p) OF(p, project, swapcache_high_wmark, int, 28)
#define PROJECT_LOW(p) OF(p, project, swapcache_low_wmark, int, 32)
#define PROJECT_START(p) OF(p, project, start, bool, 36)
#define PROJECT_ENGS(p) ((void *)OF(p, project, engs, void *, 40))
#define TASK_TYPE(t) OF(t, task, type, char *, 0)
#define TASK_VALUE(t) OF(t, task, value, char *, 8)
#define TASK_NAME(t) OF(t, task, name, char *, 16)
#define TASK_MAX_THREADS(t) OF(t, task, max_threads, int, 24)
#define TASK_SWAP_FLAG(t) OF(t, task, swap_flag, int, 28)
#define TASK_PIDS(t) ((void *)OF(t, task, pids, void *, 32))
#define TASK_ENGINE(t) ((void *)OF(t, task, eng, void *, 40))
#define TASK_PARAMS(t) OF(t, task, params, void *, 48)
#define TASK_THREAD(t) OF(t, task, task_pt, pthread_t, 56)
#define TASK_NEXT(t) ((void *)OF(t, task, next, void *, 80))
#define PID_NUMBER(p) OF(p, task_pid, pid, unsigned int, 0)
#define PID_PARAMS(p) OF(p, task_pid, params, void *, 8)
#define PID_TASK(p) ((void *)OF(p, task_pid, tk, void *, 16))
#define PID_NEXT(p) ((void *)OF(p, task_pid, next, void *, 24))
#define SCAN_INTERVAL(s) OF(s, page_scan, interval, int, 0)
#define SCAN_LOOP(s) OF(s, page_scan, loop, int, 4)
#define SCAN_SLEEP(s) OF(s, page_scan, sleep, int, 8)

struct engine_params {
    char *record;
    char *gate;
    char *waits;
};

struct task_params {
    char *fails;
    char *waits;
    atomic_bool stop;
};

static atomic_int inside;

static void record(const char *path, const char *format, ...)
{
    char line[4096];
    va_list arguments;
    int file, length;

    va_start(arguments, format);
    length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file >= 0) {
        if (write(file, line, (size_t)length) != length) {
            abort();
        }
        close(file);
    }
}

static struct engine_params *of_engine(void *eng)
{
    return ENGINE_PARAMS(eng);
}

/* Calls never overlap. */
static void enter(struct engine_params *params)
{
    if (atomic_fetch_add(&inside, 1) != 0) {
        record(params->record, "OVERLAP\n");
    }
}

static void leave(void)
{
    atomic_fetch_sub(&inside, 1);
}

static bool is(const char *value, const char *word)
{
    return value != NULL && strcmp(value, word) == 0;
}

static void wait_for_gate(struct engine_params *params)
{
    while (access(params->gate, F_OK) != 0) {
        usleep(5000);
    }
}

static int fill_engine(key_file *keys, engine *eng)
{
    struct engine_params *params = calloc(1, sizeof(*params));
    void *project = ENGINE_PROJECT(eng);
    void *scan = PROJECT_SCAN(project);
    char *private = KEY(keys, "engine", "engine_private_key"), *own_name = KEY(keys, "engine", "eng_name");
    char *task_name = KEY(keys, "task", "name"), *fails = KEY(keys, "engine", "fails");
    char **groups = g_key_file_get_groups(keys, NULL), **group;
    char all[256] = "";

    params->record = KEY(keys, "engine", "record");
    params->gate = KEY(keys, "engine", "gate");
    params->waits = KEY(keys, "engine", "waits");
    enter(params);
    for (group = groups; *group != NULL; group++) {
        strcat(strcat(all, *all == 0 ? "" : ","), *group);
    }
    record(params->record, "fill_eng %s (%s) type %d of %s: %d, %d/%d/%d, %d %d %d, %d; key <%s>, task %s, groups %s\n",
           ENGINE_NAME(eng), own_name, ENGINE_TYPE(eng), PROJECT_NAME(project), PROJECT_TYPE(project),
           SCAN_LOOP(scan), SCAN_INTERVAL(scan), SCAN_SLEEP(scan), PROJECT_SYSMEM(project), PROJECT_HIGH(project),
           PROJECT_LOW(project), PROJECT_START(project), private, task_name, all);
    if (ENGINE_PARAMS(eng) != NULL || ENGINE_PAGE_REF(eng) != NULL || ENGINE_TASKS(eng) != NULL ||
        ENGINE_PAGE_CNT(eng) != 0 || ENGINE_OPS(eng) == NULL || ENGINE_HANDLER(eng) == NULL) {
        record(params->record, "BAD ENGINE\n");
    }
    if (is(params->waits, "fill_eng")) {
        wait_for_gate(params);
    }
    g_strfreev(groups);
    g_free(private);
    g_free(own_name);
    g_free(task_name);
    leave();
    ENGINE_PARAMS(eng) = params;
    if (is(fails, "fill_eng")) {
        g_free(fails);
        g_free(params->record);
        g_free(params->gate);
        g_free(params->waits);
        free(params);
        return -3;
    }
    g_free(fails);
    return 0;
}

static void clear_engine(engine *eng)
{
    struct engine_params *params = of_engine(eng);

    enter(params);
    record(params->record, "clear_eng %s\n", ENGINE_NAME(eng));
    g_free(params->record);
    g_free(params->gate);
    g_free(params->waits);
    free(params);
    ENGINE_PARAMS(eng) = NULL;
    leave();
}

static int fill_task(key_file *keys, task *tk)
{
    struct engine_params *of = of_engine(TASK_ENGINE(tk));
    struct task_params *params = calloc(1, sizeof(*params));
    char *private = KEY(keys, "task", "task_private_key"), *own_name = KEY(keys, "task", "name");

    enter(of);
    params->fails = KEY(keys, "task", "fails");
    params->waits = KEY(keys, "task", "waits");
    record(of->record, "fill_task %s (%s) of %s: %s=%s, %d, %x; key <%s>\n", TASK_NAME(tk), own_name,
           ENGINE_NAME(TASK_ENGINE(tk)), TASK_TYPE(tk), TASK_VALUE(tk), TASK_MAX_THREADS(tk), TASK_SWAP_FLAG(tk),
           private);
    if (TASK_PARAMS(tk) != NULL || TASK_PIDS(tk) != NULL) {
        record(of->record, "BAD TASK\n");
    }
    g_free(private);
    g_free(own_name);
    leave();
    if (is(params->fails, "fill_task")) {
        g_free(params->fails);
        g_free(params->waits);
        free(params);
        return 7;
    }
    TASK_PARAMS(tk) = params;
    return 0;
}

static void clear_task(task *tk)
{
    struct task_params *params = TASK_PARAMS(tk);
    struct engine_params *of = of_engine(TASK_ENGINE(tk));

    enter(of);
    record(of->record, "clear_task %s\n", TASK_NAME(tk));
    g_free(params->fails);
    g_free(params->waits);
    free(params);
    leave();
}

static void *run(void *tk)
{
    struct task_params *params = TASK_PARAMS(tk);
    volatile unsigned int sum = 0;
    void *pid, *eng;

    /* What a plugin may look at for as long as its task runs. */
    while (!atomic_load(&params->stop)) {
        for (pid = TASK_PIDS(tk); pid != NULL; pid = PID_NEXT(pid)) {
            sum += PID_NUMBER(pid) + (PID_TASK(pid) == tk);
        }
        for (eng = PROJECT_ENGS(ENGINE_PROJECT(TASK_ENGINE(tk))); eng != NULL; eng = ENGINE_NEXT(eng)) {
            sum += (unsigned int)strlen(ENGINE_NAME(eng));
        }
        usleep(1000);
    }
    return NULL;
}

static int start(engine *eng, task *tk)
{
    struct engine_params *of = of_engine(eng);
    struct task_params *params = TASK_PARAMS(tk);
    char all[1024] = "", one[64];
    void *pid, *other;

    enter(of);
    for (pid = TASK_PIDS(tk); pid != NULL; pid = PID_NEXT(pid)) {
        snprintf(one, sizeof(one), " %u%s", PID_NUMBER(pid), PID_PARAMS(pid) == (void *)pid ? "" : "?");
        strcat(all, PID_TASK(pid) == tk ? one : " LOST");
    }
    strcat(all, "; tasks");
    for (other = ENGINE_TASKS(eng); other != NULL; other = TASK_NEXT(other)) {
        strcat(strcat(all, " "), TASK_NAME(other));
    }
    strcat(all, "; engines");
    for (other = PROJECT_ENGS(ENGINE_PROJECT(eng)); other != NULL; other = ENGINE_NEXT(other)) {
        strcat(strcat(all, " "), ENGINE_NAME(other));
    }
    record(of->record, "start %s of %s (%d):%s\n", TASK_NAME(tk), ENGINE_NAME(eng),
           PROJECT_START(ENGINE_PROJECT(eng)), all);
    if (is(params->waits, "start")) {
        wait_for_gate(of);
    }
    leave();
    if (is(params->fails, "start")) {
        return -1;
    }
    atomic_store(&params->stop, false);
    return pthread_create(&TASK_THREAD(tk), NULL, run, tk);
}

static void stop(engine *eng, task *tk)
{
    struct engine_params *of = of_engine(eng);
    struct task_params *params = TASK_PARAMS(tk);

    enter(of);
    record(of->record, "stop %s of %s (%d)\n", TASK_NAME(tk), ENGINE_NAME(eng), PROJECT_START(ENGINE_PROJECT(eng)));
    atomic_store(&params->stop, true);
    pthread_join(TASK_THREAD(tk), NULL);
    if (is(params->waits, "stop")) {
        wait_for_gate(of);
    }
    leave();
}

static int alloc_pid(engine *eng, task_pid **pid)
{
    struct task_params *params = TASK_PARAMS(PID_TASK(*pid));

    enter(of_engine(eng));
    record(of_engine(eng)->record, "alloc %u\n", PID_NUMBER(*pid));
    leave();
    if (is(params->fails, "alloc")) {
        return -1;
    }
    PID_PARAMS(*pid) = *pid;
    return 0;
}

static void free_pid(engine *eng, task_pid **pid)
{
    enter(of_engine(eng));
    record(of_engine(eng)->record, "free %u\n", PID_NUMBER(*pid));
    PID_PARAMS(*pid) = NULL;
    leave();
}

static void write_much(int fd, long bytes)
{
    static char block[65536];

    memset(block, 'x', sizeof(block));
    for (; bytes > 0; bytes -= (long)sizeof(block)) {
        if (write(fd, block, sizeof(block)) < 0 && bytes < (1L << 40)) {
            return;
        }
    }
}

static int manage(engine *eng, task *tk, char *cmd, int fd)
{
    struct engine_params *of = of_engine(eng);
    int status = 0;

    enter(of);
    record(of->record, "mgt %s %s: %s\n", ENGINE_NAME(eng), tk == NULL ? "-" : TASK_NAME(tk), cmd);
    if (is(cmd, "much")) {
        write_much(fd, 8L << 20);
    } else if (is(cmd, "ff")) {
        dprintf(fd, "a\xff");
    } else if (is(cmd, "fe")) {
        dprintf(fd, "\xfe");
    } else if (is(cmd, "wait")) {
        wait_for_gate(of);
    } else if (is(cmd, "close")) {
        dprintf(fd, "closed after this");
        close(fd);
    } else if (is(cmd, "keep")) {
        dprintf(fd, "kept\n");
        fd = dup(fd);
    } else if (is(cmd, "other")) {
        /* The number stands for another file afterwards. */
        close(fd);
        (void)!open("/dev/null", O_WRONLY);
    } else if (is(cmd, "fail")) {
        dprintf(fd, "no such page");
        status = -5;
    } else {
        dprintf(fd, "%s told of %s\n", cmd, tk == NULL ? "all" : TASK_NAME(tk));
    }
    leave();
    return status;
}

OPERATIONS(recorder_ops, fill_engine, clear_engine, fill_task, clear_task, start, stop, alloc_pid, free_pid, manage);
OPERATIONS(no_start_ops, fill_engine, clear_engine, fill_task, clear_task, NULL, NULL, NULL, NULL, NULL);
OPERATIONS(empty_ops, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
char short_ops[8] __attribute__((aligned(8)));

void no_ops(void)
{
}
