/* What recorder.c sees, by the headers of this project. */
#include <glib.h>

#include "etmemd_thirdparty_export.h"

typedef GKeyFile key_file;
typedef struct engine engine;
typedef struct task task;
typedef struct task_pid task_pid;

#define OF(thing, structure, field, type, offset) (((struct structure *)(thing))->field)
#define KEY(keys, group, key) ((char *)g_key_file_get_string(keys, group, key, NULL))
#define OPERATIONS(name, a, b, c, d, e, f, g, h, i) struct engine_ops name = { a, b, c, d, e, f, g, h, i }
