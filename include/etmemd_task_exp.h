/*
 * etmem in Rust: a task and its processes, as a plugin sees them.
 *
 * Licence: Apache-2.0
 */
#ifndef ETMEMD_TASK_EXP_H
#define ETMEMD_TASK_EXP_H

#include <pthread.h>

#include "etmemd_exp.h"

struct engine;
struct task;
struct timer_thread_t;
struct thread_pool_t;

/* A process of a task. */
struct task_pid {
    unsigned int pid;
    float rt_swapin_rate;
    void *params;                           /* the plugin's own */
    struct task *tk;
    struct task_pid *next;
};

struct task {
    char *type;                             /* pid or name */
    char *value;
    char *name;
    int max_threads;
    int swap_flag;
    struct task_pid *pids;
    struct engine *eng;
    void *params;                           /* the plugin's own */
    pthread_t task_pt;
    struct timer_thread_t *timer_inst;      /* etmemd's own */
    struct thread_pool_t *threadpool_inst;  /* etmemd's own */
    struct task *next;
};

#endif
