/* A program that names itself and a thread of it; arguments: its name, the thread's name. */
#include <pthread.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

static void *stay(void *name)
{
    prctl(PR_SET_NAME, name);
    puts("ready");
    fflush(stdout);
    for (;;) {
        pause();
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;

    if (argc < 3 || prctl(PR_SET_NAME, argv[1]) != 0 || pthread_create(&thread, NULL, stay, argv[2]) != 0) {
        return 1;
    }
    pthread_join(thread, NULL);
    return 0;
}
