/*
 * A policy written from docs/plugins.md alone: pages out what is cold in mappings above 64 MiB.
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

#define LARGE (64UL << 20)

struct job {
    pthread_t thread;
    sem_t stop;
    struct page_scan scan;
    char pid[16];
    int pidfd;
    atomic_int cycles;
};

static bool stopped_within(struct job *job, int seconds)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += seconds;
    while (sem_timedwait(&job->stop, &until) != 0)
        if (errno != EINTR)
            return false;
    sem_post(&job->stop);
    return true;
}

static int scan(const struct vmas *vmas, const char *pid, struct page_refs **pages)
{
    if (etmemd_get_page_refs(vmas, pid, pages, 0) == 0)
        return 0;
    if (errno != EPERM || (etmemd_scan_init() != 0 && errno != EALREADY))
        return -1;
    return etmemd_get_page_refs(vmas, pid, pages, 0);
}

/* Copies of the large ones, linked; NULL if there are none. */
static struct vma *large_of(const struct vmas *all, struct vmas *large)
{
    struct vma *copies = calloc(all->vma_cnt + 1, sizeof(*copies));
    const struct vma *vma;

    large->vma_cnt = 0;
    large->vma_list = copies;
    for (vma = all->vma_list; copies != NULL && vma != NULL; vma = vma->next) {
        if (vma->end - vma->start <= LARGE)
            continue;
        copies[large->vma_cnt] = *vma;
        copies[large->vma_cnt].next = NULL;
        if (large->vma_cnt > 0)
            copies[large->vma_cnt - 1].next = &copies[large->vma_cnt];
        large->vma_cnt++;
    }
    return copies;
}

static void cycle(struct job *job)
{
    static const size_t bytes[] = { 4096, 2UL << 20, 1UL << 30 };
    struct vmas *all = etmemd_get_vmas(job->pid, NULL, 0, true);
    struct page_refs *pages = NULL, *page;
    struct vmas large;
    struct vma *copies;
    int failed;

    if (all == NULL)
        return;
    copies = large_of(all, &large);
    failed = copies == NULL || large.vma_cnt == 0 || scan(&large, job->pid, &pages) != 0;
    etmemd_free_page_refs(pages);
    pages = NULL;
    for (int i = 0; !failed && i < job->scan.loop; i++)
        failed = stopped_within(job, job->scan.interval) || scan(&large, job->pid, &pages) != 0;
    for (page = pages; !failed && page != NULL; page = page->next)
        if (page->count == 0) {
            struct iovec range = { (void *)page->addr, bytes[page->type] };

            if (syscall(SYS_process_madvise, job->pidfd, &range, 1, MADV_PAGEOUT, 0) < 0 && errno == ESRCH)
                break;
        }
    etmemd_free_page_refs(pages);
    free(copies);
    etmemd_free_vmas(all);
    job->cycles++;
}

static void *work(void *argument)
{
    struct job *job = argument;

    do
        cycle(job);
    while (!stopped_within(job, job->scan.sleep));
    return NULL;
}

static int start_task(struct engine *eng, struct task *tk)
{
    struct job *job;

    if (tk->pids == NULL || eng->proj->type != PAGE_SCAN)
        return -1;
    job = calloc(1, sizeof(*job));
    if (job == NULL)
        return -1;
    job->scan = *(struct page_scan *)eng->proj->scan_param;
    snprintf(job->pid, sizeof(job->pid), "%u", tk->pids->pid);
    job->pidfd = (int)syscall(SYS_pidfd_open, tk->pids->pid, 0);
    sem_init(&job->stop, 0, 0);
    if (job->pidfd < 0 || pthread_create(&job->thread, NULL, work, job) != 0) {
        free(job);
        return -1;
    }
    tk->params = job;
    return 0;
}

static void stop_task(struct engine *eng, struct task *tk)
{
    struct job *job = tk->params;

    (void)eng;
    sem_post(&job->stop);
    pthread_join(job->thread, NULL);
    close(job->pidfd);
    free(job);
    tk->params = NULL;
}

static int command(struct engine *eng, struct task *tk, char *cmd, int fd)
{
    (void)eng;
    if (tk == NULL || tk->params == NULL || strcmp(cmd, "cycles") != 0)
        return -1;
    return dprintf(fd, "%d\n", ((struct job *)tk->params)->cycles) > 0 ? 0 : -1;
}

struct engine_ops large_mappings_ops = { .start_task = start_task, .stop_task = stop_task, .eng_mgt_func = command };
