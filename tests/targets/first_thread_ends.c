/* A program whose first thread ends while another runs: MIB of memory, written once; argument: MIB. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *stay(void *unused)
{
    (void)unused;
    for (;;) {
        pause();
    }
    return NULL;
}

int main(int argc, char **argv)
{
    size_t bytes = (argc > 1 ? (size_t)atoi(argv[1]) : 1) << 20;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_t thread;

    if (memory == MAP_FAILED || pthread_create(&thread, NULL, stay, NULL) != 0) {
        return 1;
    }
    madvise(memory, bytes, MADV_NOHUGEPAGE);
    memset(memory, 7, bytes);
    puts("ready");
    fflush(stdout);
    pthread_exit(NULL);
}
