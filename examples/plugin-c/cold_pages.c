/*
 * A policy for etmemd: pages out what the processes of its tasks did not touch during a cycle's looks.
 *
 * Licence: Apache-2.0
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <etmemd_scan_export.h>
#include <etmemd_thirdparty_export.h>

/* What this policy keeps of a task. Its thread looks at nothing else: etmemd's structures are read in calls only. */
struct state {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
    char pid[16];
    struct page_scan rhythm;
    unsigned long long paged_out; /* KiB */
};

/* Lets seconds pass, or less where the task has to end: whether it goes on. */
static bool pass(struct state *state, int seconds)
{
    struct timespec end;
    bool goes_on;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += seconds;
    pthread_mutex_lock(&state->lock);
    while (!state->stop && pthread_cond_timedwait(&state->wake, &state->lock, &end) == 0)
        ;
    goes_on = !state->stop;
    pthread_mutex_unlock(&state->lock);
    return goes_on;
}

/* One look. The library's state belongs to all plugins of the process: it may have to be initialised, and is never ended. */
static int look(const struct vmas *vmas, const char *pid, struct page_refs **pages)
{
    if (etmemd_get_page_refs(vmas, pid, pages, 0) == 0)
        return 0;
    if (errno != EPERM)
        return -1;
    (void)etmemd_scan_init();
    return etmemd_get_page_refs(vmas, pid, pages, 0);
}

/* Pages out what has no count, neighbours at once. What went away meanwhile, or cannot be paged out, is left out. */
static void page_out(struct state *state, int process, const struct page_refs *page)
{
    static const size_t size[] = { 1UL << 12, 1UL << 21, 1UL << 30 };
    struct iovec range = { NULL, 0 };

    for (;; page = page->next) {
        bool cold = page != NULL && page->count == 0;

        if (cold && (char *)range.iov_base + range.iov_len == (char *)page->addr) {
            range.iov_len += size[page->type];
            continue;
        }
        if (range.iov_len != 0 && syscall(SYS_process_madvise, process, &range, 1, MADV_PAGEOUT, 0) > 0) {
            pthread_mutex_lock(&state->lock);
            state->paged_out += range.iov_len >> 10;
            pthread_mutex_unlock(&state->lock);
        }
        if (page == NULL)
            return;
        range.iov_base = (void *)page->addr;
        range.iov_len = cold ? size[page->type] : 0;
    }
}

/* One cycle: a look that only forgets what was before, then those that count. */
static void cycle(struct state *state)
{
    struct vmas *vmas = etmemd_get_vmas(state->pid, NULL, 0, true);
    struct page_refs *pages = NULL;
    int process = (int)syscall(SYS_pidfd_open, atoi(state->pid), 0);
    int done = process < 0 || vmas == NULL ? -1 : look(vmas, state->pid, &pages);

    etmemd_free_page_refs(pages);
    pages = NULL;
    for (int looks = 0; done == 0 && looks < state->rhythm.loop; looks++)
        done = pass(state, state->rhythm.interval) ? look(vmas, state->pid, &pages) : -1;
    if (done == 0)
        page_out(state, process, pages);
    etmemd_free_page_refs(pages);
    etmemd_free_vmas(vmas);
    if (process >= 0)
        close(process);
}

static void *run(void *argument)
{
    struct state *state = argument;

    do
        cycle(state);
    while (pass(state, state->rhythm.sleep));
    return NULL;
}

static int fill_task(GKeyFile *config, struct task *task)
{
    const struct project *project = task->eng->proj;
    struct state *state = calloc(1, sizeof(*state));

    (void)config; /* its group [task] holds the task's own keys; this policy has none */
    if (state == NULL || strcmp(task->type, "pid") != 0 || project->type != PAGE_SCAN) {
        syslog(LOG_DAEMON | LOG_ERR, "cold_pages: task %s: needs type=pid and scan_type=page", task->name);
        free(state);
        return -1;
    }
    snprintf(state->pid, sizeof(state->pid), "%s", task->value);
    state->rhythm = *(const struct page_scan *)project->scan_param;
    pthread_mutex_init(&state->lock, NULL);
    pthread_cond_init(&state->wake, NULL);
    task->params = state;
    return 0;
}

static void clear_task(struct task *task)
{
    free(task->params);
    task->params = NULL;
}

static int start_task(struct engine *engine, struct task *task)
{
    struct state *state = task->params;

    (void)engine;
    state->stop = false;
    return pthread_create(&state->thread, NULL, run, state) == 0 ? 0 : -1;
}

/* Returns when the thread has ended: after that, its code and its state may go. */
static void stop_task(struct engine *engine, struct task *task)
{
    struct state *state = task->params;

    (void)engine;
    pthread_mutex_lock(&state->lock);
    state->stop = true;
    pthread_cond_signal(&state->wake);
    pthread_mutex_unlock(&state->lock);
    pthread_join(state->thread, NULL);
}

static int command(struct engine *engine, struct task *task, char *command, int fd)
{
    (void)engine;
    if (task == NULL || strcmp(command, "paged_out") != 0) {
        dprintf(fd, "cold_pages: the command is paged_out, of a task (-t)");
        return -1;
    }
    struct state *state = task->params;

    pthread_mutex_lock(&state->lock);
    dprintf(fd, "%llu KiB paged out", state->paged_out);
    pthread_mutex_unlock(&state->lock);
    return 0;
}

/* ops_name= in the configuration file. Functions that are not needed stay NULL. */
struct engine_ops cold_pages_ops = {
    .fill_task_params = fill_task,
    .clear_task_params = clear_task,
    .start_task = start_task,
    .stop_task = stop_task,
    .eng_mgt_func = command,
};
