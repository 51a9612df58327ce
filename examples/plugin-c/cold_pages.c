/*
 * A policy for etmemd: pages out what the processes of its tasks did not touch during a cycle's looks.
 *
 * Licence: Apache-2.0
 */
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <etmemd_scan_export.h>
#include <etmemd_thirdparty_export.h>

/* What is kept of a task. Its thread sees nothing else: etmemd's structures are read in calls only. */
struct state {
    pthread_t thread;
    sem_t stop;
    struct page_scan rhythm;
    atomic_ullong paged_out; /* KiB */
    size_t number;
    struct {
        char pid[16];
        int descriptor; /* of this process, even if another gets its number later */
    } processes[];
};

/* Lets seconds pass, or less where the task has to stop: whether it goes on. */
static bool pass(struct state *state, int seconds)
{
    struct timespec end;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += seconds;
    while (sem_timedwait(&state->stop, &end) != 0)
        if (errno != EINTR)
            return true;
    sem_post(&state->stop); /* for the next who asks */
    return false;
}

/* One look. All plugins of a process share the library: it may have to be initialised, and is never ended here. */
static int look(const struct vmas *vmas, const char *pid, struct page_refs **pages)
{
    int done = etmemd_get_page_refs(vmas, pid, pages, 0);

    if (done != 0 && errno == EPERM && etmemd_scan_init() == 0)
        done = etmemd_get_page_refs(vmas, pid, pages, 0);
    return done;
}

/* Pages out what has no count, neighbours at once. What went away meanwhile, or cannot be paged out, is left out. */
static void page_out(struct state *state, int process, const struct page_refs *page)
{
    static const size_t size[] = { 1UL << 12, 1UL << 21, 1UL << 30 };
    struct iovec range = { NULL, 0 };

    for (;; page = page->next) {
        bool cold = page != NULL && page->count == 0;

        if (cold && (uintptr_t)range.iov_base + range.iov_len == page->addr) {
            range.iov_len += size[page->type];
            continue;
        }
        if (range.iov_len != 0 && syscall(SYS_process_madvise, process, &range, 1, MADV_PAGEOUT, 0) > 0)
            state->paged_out += range.iov_len >> 10;
        if (page == NULL)
            return;
        range.iov_base = (void *)page->addr;
        range.iov_len = cold ? size[page->type] : 0;
    }
}

/* A cycle of one process: a look that only forgets what was before, then those that count. */
static void cycle(struct state *state, const char *pid, int process)
{
    struct vmas *vmas = etmemd_get_vmas(pid, NULL, 0, true);
    struct page_refs *pages = NULL;
    int done = vmas == NULL ? -1 : look(vmas, pid, &pages);

    etmemd_free_page_refs(pages);
    pages = NULL;
    for (int looks = 0; done == 0 && looks < state->rhythm.loop; looks++)
        done = pass(state, state->rhythm.interval) ? look(vmas, pid, &pages) : -1;
    if (done == 0)
        page_out(state, process, pages);
    etmemd_free_page_refs(pages);
    etmemd_free_vmas(vmas);
}

static void *run(void *argument)
{
    struct state *state = argument;

    do
        for (size_t i = 0; i < state->number && pass(state, 0); i++)
            cycle(state, state->processes[i].pid, state->processes[i].descriptor);
    while (pass(state, state->rhythm.sleep));
    return NULL;
}

static void release(struct task *task)
{
    struct state *state = task->params;

    for (size_t i = 0; i < state->number; i++)
        close(state->processes[i].descriptor);
    free(state);
    task->params = NULL;
}

/* etmemd has listed the task's processes of this moment. */
static int start_task(struct engine *engine, struct task *task)
{
    struct state *state;
    const struct task_pid *pid;
    size_t number = 0;

    if (engine->proj->type != PAGE_SCAN)
        return -1;
    for (pid = task->pids; pid != NULL; pid = pid->next)
        number++;
    state = calloc(1, sizeof(*state) + number * sizeof(state->processes[0]));
    if (state == NULL)
        return -1;
    state->rhythm = *(const struct page_scan *)engine->proj->scan_param;
    sem_init(&state->stop, 0, 0);
    for (pid = task->pids; pid != NULL; pid = pid->next, state->number++) {
        snprintf(state->processes[state->number].pid, sizeof(state->processes[0].pid), "%u", pid->pid);
        state->processes[state->number].descriptor = (int)syscall(SYS_pidfd_open, pid->pid, 0);
    }
    task->params = state;
    if (pthread_create(&state->thread, NULL, run, state) == 0)
        return 0;
    release(task);
    return -1;
}

/* Returns when the thread has ended: from then on its code may be unloaded. */
static void stop_task(struct engine *engine, struct task *task)
{
    struct state *state = task->params;

    (void)engine;
    sem_post(&state->stop);
    pthread_join(state->thread, NULL);
    release(task);
}

/* etmem engine paged_out */
static int command(struct engine *engine, struct task *task, char *command, int fd)
{
    (void)engine;
    if (task == NULL || task->params == NULL || strcmp(command, "paged_out") != 0) {
        dprintf(fd, "the command is paged_out, of a task that runs (-t)");
        return -1;
    }
    dprintf(fd, "%llu KiB paged out", ((struct state *)task->params)->paged_out);
    return 0;
}

/* ops_name= of the configuration file. What is not needed stays NULL. */
struct engine_ops cold_pages_ops = {
    .start_task = start_task,
    .stop_task = stop_task,
    .eng_mgt_func = command,
};
