/* What recorder.c sees, by offsets alone: no header of this project, none of GLib, and not linked with GLib either. */
typedef void key_file;
typedef void engine;
typedef void task;
typedef void task_pid;

char *g_key_file_get_string(void *keys, const char *group, const char *key, void **error);
char **g_key_file_get_groups(void *keys, unsigned long *length);
void g_strfreev(char **strings);
void g_free(void *memory);

#define OF(thing, structure, field, type, offset) (*(type *)((char *)(thing) + (offset)))
#define KEY(keys, group, key) g_key_file_get_string(keys, group, key, NULL)
#define OPERATIONS(name, a, b, c, d, e, f, g, h, i) \
    void *name[9] = { (void *)a, (void *)b, (void *)c, (void *)d, (void *)e, (void *)f, (void *)g, (void *)h, (void *)i }
