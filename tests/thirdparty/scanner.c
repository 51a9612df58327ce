/*
 * A plugin that scans by libetmemd_scan in the daemon's own process. Command scan: the pages of the task's first process
 * in memory, and how etmemd_scan_init went, twice.
 */
#include <stdio.h>

#include "etmemd_scan_export.h"
#include "etmemd_thirdparty_export.h"

static int start(struct engine *eng, struct task *tk)
{
    return eng == NULL || tk->pids == NULL;
}

static void stop(struct engine *eng, struct task *tk)
{
    (void)eng;
    (void)tk;
}

static int manage(struct engine *eng, struct task *tk, char *cmd, int fd)
{
    struct page_refs *pages = NULL, *page;
    struct vmas *vmas;
    char pid[16];
    int first = etmemd_scan_init(), second = etmemd_scan_init();
    long number = 0;
    int status = -1;

    (void)eng;
    (void)cmd;
    snprintf(pid, sizeof(pid), "%u", tk->pids->pid);
    vmas = etmemd_get_vmas(pid, NULL, 0, true);
    if (vmas != NULL && etmemd_get_page_refs(vmas, pid, &pages, 0) == 0) {
        for (page = pages; page != NULL; page = page->next) {
            number++;
        }
        status = 0;
    }
    dprintf(fd, "init %d %d, pages %ld\n", first, second, number);
    etmemd_free_page_refs(pages);
    etmemd_free_vmas(vmas);
    etmemd_scan_exit();
    return status;
}

struct engine_ops scanner_ops = { .start_task = start, .stop_task = stop, .eng_mgt_func = manage };
