/*
 * etmem in Rust: an engine, as its plugin sees it, and the functions a plugin brings.
 *
 * Licence: Apache-2.0
 */
#ifndef ETMEMD_ENGINE_EXP_H
#define ETMEMD_ENGINE_EXP_H

#include "etmemd_exp.h"

/* GLib's key file. A plugin that reads its parameters needs GLib's headers; one that does not, needs none. */
#if defined(__has_include)
#if __has_include(<glib.h>)
#include <glib.h>
#else
typedef struct _GKeyFile GKeyFile;
#endif
#else
#include <glib.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct engine;
struct project;
struct task;
struct task_pid;

/* engine.engine_type of a plugin. */
#define ETMEMD_THIRDPARTY_ENGINE 7

struct engine {
    int engine_type;
    char *name;
    void *params;              /* the plugin's own */
    struct project *proj;
    struct page_refs *page_ref;
    struct engine_ops *ops;
    struct task *tasks;
    uint64_t page_cnt;
    struct engine *next;
    void *handler;             /* of the loaded library */
};

/* What a plugin exports, under any name; each may be NULL. Functions that return int return 0 for success. */
struct engine_ops {
    int (*fill_eng_params)(GKeyFile *config, struct engine *eng);
    void (*clear_eng_params)(struct engine *eng);
    int (*fill_task_params)(GKeyFile *config, struct task *task);
    void (*clear_task_params)(struct task *tk);
    int (*start_task)(struct engine *eng, struct task *tk);
    void (*stop_task)(struct engine *eng, struct task *tk);
    int (*alloc_pid_params)(struct engine *eng, struct task_pid **tk_pid);
    void (*free_pid_params)(struct engine *eng, struct task_pid **tk_pid);
    /* Text for the client is written to fd; the bytes 0xFF and 0xFE are not allowed in it. */
    int (*eng_mgt_func)(struct engine *eng, struct task *tk, char *cmd, int fd);
};

#ifdef __cplusplus
}
#endif

#endif
