//! The structures of `include/etmemd_*_exp.h`, and nothing else: they are made and read where a plugin is called.

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

/// `engine.engine_type` of a plugin.
pub(crate) const THIRDPARTY_ENGINE: c_int = 7;

/// `task.swap_flag` where the task has `swap_flag=yes`: the flag of a scan of marked mappings alone.
pub(crate) const VMA_SCAN_FLAG: c_int = 0x1000;

/// `project.type`: `scan_type=page`.
pub(crate) const PAGE_SCAN: c_int = 0;
/// `scan_type=region`.
pub(crate) const REGION_SCAN: c_int = 1;
/// `scan_type=psi`.
pub(crate) const PSI_SCAN: c_int = 2;

/// GLib's `GKeyFile`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct GKeyFile {
    _opaque: [u8; 0],
}

/// `struct engine_ops`: what a plugin exports.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct EngineOps {
    pub(crate) fill_eng_params: Option<unsafe extern "C" fn(*mut GKeyFile, *mut Engine) -> c_int>,
    pub(crate) clear_eng_params: Option<unsafe extern "C" fn(*mut Engine)>,
    pub(crate) fill_task_params: Option<unsafe extern "C" fn(*mut GKeyFile, *mut Task) -> c_int>,
    pub(crate) clear_task_params: Option<unsafe extern "C" fn(*mut Task)>,
    pub(crate) start_task: Option<unsafe extern "C" fn(*mut Engine, *mut Task) -> c_int>,
    pub(crate) stop_task: Option<unsafe extern "C" fn(*mut Engine, *mut Task)>,
    pub(crate) alloc_pid_params: Option<unsafe extern "C" fn(*mut Engine, *mut *mut TaskPid) -> c_int>,
    pub(crate) free_pid_params: Option<unsafe extern "C" fn(*mut Engine, *mut *mut TaskPid)>,
    pub(crate) eng_mgt_func:
        Option<unsafe extern "C" fn(*mut Engine, *mut Task, *mut c_char, c_int) -> c_int>,
}

/// `struct engine`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) engine_type: c_int,
    pub(crate) name: *mut c_char,
    pub(crate) params: *mut c_void,
    pub(crate) proj: *mut Project,
    pub(crate) page_ref: *mut c_void,
    pub(crate) ops: *mut EngineOps,
    pub(crate) tasks: *mut Task,
    pub(crate) page_cnt: u64,
    pub(crate) next: *mut Engine,
    pub(crate) handler: *mut c_void,
}

/// `struct project`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) name: *mut c_char,
    pub(crate) kind: c_int,
    pub(crate) scan_param: *mut c_void,
    pub(crate) sysmem_threshold: c_int,
    pub(crate) swapcache_high_wmark: c_int,
    pub(crate) swapcache_low_wmark: c_int,
    pub(crate) start: bool,
    pub(crate) wmark_set: bool,
    pub(crate) engs: *mut Engine,
    pub(crate) entry: *mut c_void,
}

/// `struct task`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) kind: *mut c_char,
    pub(crate) value: *mut c_char,
    pub(crate) name: *mut c_char,
    pub(crate) max_threads: c_int,
    pub(crate) swap_flag: c_int,
    pub(crate) pids: *mut TaskPid,
    pub(crate) eng: *mut Engine,
    pub(crate) params: *mut c_void,
    pub(crate) task_pt: libc::pthread_t,
    pub(crate) timer_inst: *mut c_void,
    pub(crate) threadpool_inst: *mut c_void,
    pub(crate) next: *mut Task,
}

/// `struct task_pid`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct TaskPid {
    pub(crate) pid: c_uint,
    pub(crate) rt_swapin_rate: f32,
    pub(crate) params: *mut c_void,
    pub(crate) tk: *mut Task,
    pub(crate) next: *mut TaskPid,
}

/// `struct page_scan`, in seconds.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct PageScan {
    pub(crate) interval: c_int,
    pub(crate) loops: c_int,
    pub(crate) sleep: c_int,
}

/// `struct region_scan`, in microseconds.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct RegionScan {
    pub(crate) sample_interval: c_ulong,
    pub(crate) aggr_interval: c_ulong,
    pub(crate) update_interval: c_ulong,
    pub(crate) min_nr_regions: c_ulong,
    pub(crate) max_nr_regions: c_ulong,
}

/// `struct psi_scan`, in seconds.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct PsiScan {
    pub(crate) interval: c_int,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{offset_of, size_of};

    /// The same table that the headers are compared with.
    const LAYOUT: &str = include_str!("../../../tests/scan_library/layout.txt");

    /// A structure, its mirror, and each field of it with the name that the mirror has for it.
    macro_rules! mirror {
        ($name:literal, $mirror:ty: $($field:literal $own:ident),+) => {
            [($name, "", size_of::<$mirror>()), $(($name, $field, offset_of!($mirror, $own))),+]
        };
    }

    #[test]
    fn as_the_table_says() {
        let mirrors = [
            mirror!("engine_ops", EngineOps: "fill_eng_params" fill_eng_params, "clear_eng_params" clear_eng_params,
                "fill_task_params" fill_task_params, "clear_task_params" clear_task_params, "start_task" start_task,
                "stop_task" stop_task, "alloc_pid_params" alloc_pid_params, "free_pid_params" free_pid_params,
                "eng_mgt_func" eng_mgt_func)
            .to_vec(),
            mirror!("engine", Engine: "engine_type" engine_type, "name" name, "params" params, "proj" proj,
                "page_ref" page_ref, "ops" ops, "tasks" tasks, "page_cnt" page_cnt, "next" next, "handler" handler)
            .to_vec(),
            mirror!("project", Project: "name" name, "type" kind, "scan_param" scan_param,
                "sysmem_threshold" sysmem_threshold, "swapcache_high_wmark" swapcache_high_wmark,
                "swapcache_low_wmark" swapcache_low_wmark, "start" start, "wmark_set" wmark_set, "engs" engs,
                "entry" entry)
            .to_vec(),
            mirror!("task", Task: "type" kind, "value" value, "name" name, "max_threads" max_threads,
                "swap_flag" swap_flag, "pids" pids, "eng" eng, "params" params, "task_pt" task_pt,
                "timer_inst" timer_inst, "threadpool_inst" threadpool_inst, "next" next)
            .to_vec(),
            mirror!("task_pid", TaskPid: "pid" pid, "rt_swapin_rate" rt_swapin_rate, "params" params, "tk" tk,
                "next" next)
            .to_vec(),
            mirror!("page_scan", PageScan: "interval" interval, "loop" loops, "sleep" sleep).to_vec(),
            mirror!("region_scan", RegionScan: "sample_interval" sample_interval, "aggr_interval" aggr_interval,
                "update_interval" update_interval, "min_nr_regions" min_nr_regions,
                "max_nr_regions" max_nr_regions)
            .to_vec(),
            mirror!("psi_scan", PsiScan: "interval" interval).to_vec(),
        ]
        .concat();
        let table: Vec<(&str, &str, usize)> = LAYOUT
            .lines()
            .filter_map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                match words[..] {
                    ["size", name, bytes] => Some((name, "", bytes.parse().unwrap())),
                    ["offset", name, field, bytes, ..] => Some((name, field, bytes.parse().unwrap())),
                    _ => None,
                }
            })
            // Those of the scan library are compared with its own mirrors.
            .filter(|(name, ..)| !["page_refs", "vma", "vmas"].contains(name))
            .collect();
        assert_eq!(table, mirrors);
    }
}
