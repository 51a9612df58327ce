/* A program that says itself on which NUMA nodes its memory is to lie: MIB of memory, written once; arguments: MIB and one of
 * none, bind, preferred, interleave (mbind) and task (set_mempolicy). The nodes are 0, and 0 and 1 for interleave. */
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_NODES 64UL

static int policy(const char *name)
{
    if (strcmp(name, "bind") == 0 || strcmp(name, "task") == 0) {
        return MPOL_BIND;
    }
    if (strcmp(name, "preferred") == 0) {
        return MPOL_PREFERRED;
    }
    return strcmp(name, "interleave") == 0 ? MPOL_INTERLEAVE : MPOL_DEFAULT;
}

int main(int argc, char **argv)
{
    size_t bytes = (argc > 2 ? (size_t)atoi(argv[1]) : 1) << 20;
    const char *name = argc > 2 ? argv[2] : "none";
    unsigned long nodes = strcmp(name, "interleave") == 0 ? 3 : 1;
    char *memory;
    long answer = 0;

    if (strcmp(name, "task") == 0) {
        answer = syscall(SYS_set_mempolicy, policy(name), &nodes, MAX_NODES);
    }
    memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || answer != 0) {
        return 1;
    }
    if (strcmp(name, "task") != 0 && strcmp(name, "none") != 0) {
        answer = syscall(SYS_mbind, memory, bytes, policy(name), &nodes, MAX_NODES, 0);
    }
    /* Unlike any other mapping, so that the kernel does not make one of the two. */
    madvise(memory, bytes, MADV_DONTDUMP);
    madvise(memory, bytes, MADV_NOHUGEPAGE);
    memset(memory, 7, bytes);
    if (answer != 0) {
        return 1;
    }
    printf("ready %lx\n", (unsigned long)memory);
    fflush(stdout);
    for (;;) {
        pause();
    }
}
