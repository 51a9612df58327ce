/*
 * etmem in Rust: for plugins, the engines of others. A plugin is a shared library that exports a struct engine_ops.
 *
 * Licence: Apache-2.0
 */
#ifndef ETMEMD_THIRDPARTY_EXPORT_H
#define ETMEMD_THIRDPARTY_EXPORT_H

#include "etmemd_engine_exp.h"
#include "etmemd_project_exp.h"
#include "etmemd_task_exp.h"

#endif
