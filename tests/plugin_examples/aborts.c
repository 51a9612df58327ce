/*
 * A policy that does nothing but what it is asked: pid, abort, hang.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <etmemd_thirdparty_export.h>

#ifdef WHEN_LOADED
__attribute__((constructor)) static void loaded(void)
{
    abort();
}
#endif

static int start_task(struct engine *engine, struct task *task)
{
    (void)engine;
    (void)task;
    return 0;
}

static int command(struct engine *engine, struct task *task, char *command, int fd)
{
    (void)engine;
    (void)task;
    if (strcmp(command, "abort") == 0)
        abort();
    while (strcmp(command, "hang") == 0)
        pause();
    return dprintf(fd, "%d\n", (int)getpid()) > 0 ? 0 : -1;
}

struct engine_ops aborts_ops = { .start_task = start_task, .eng_mgt_func = command };
