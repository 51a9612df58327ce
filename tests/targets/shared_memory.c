/* Helpers that share the memory of their parent and are no threads of it: MIB of memory, written once; arguments: MIB, helpers.
 * They end with their parent. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define STACK (64 << 10)

static pid_t parent;

static int stay(void *unused)
{
    (void)unused;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* It may have ended before that. */
    if (getppid() != parent) {
        _exit(0);
    }
    for (;;) {
        pause();
    }
    return 0;
}

int main(int argc, char **argv)
{
    size_t bytes = (argc > 1 ? (size_t)atoi(argv[1]) : 1) << 20;
    int helpers = argc > 2 ? atoi(argv[2]) : 1;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int i;

    if (memory == MAP_FAILED) {
        return 1;
    }
    parent = getpid();
    madvise(memory, bytes, MADV_NOHUGEPAGE);
    memset(memory, 7, bytes);
    for (i = 0; i < helpers; i++) {
        char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (stack == MAP_FAILED || clone(stay, stack + STACK, CLONE_VM | SIGCHLD, NULL) < 0) {
            return 1;
        }
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        pause();
    }
}
