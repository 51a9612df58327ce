//! The structures of `include/etmemd_thirdparty_export.h` and `include/etmemd_scan_export.h`, and nothing else.

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

/// `project.type` of one that scans pages.
pub(crate) const PAGE_SCAN: c_int = 0;

/// GLib's key file, which only GLib looks into.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct GKeyFile {
    _opaque: [u8; 0],
}

/// `struct page_scan`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageScan {
    pub(crate) interval: c_int,
    pub(crate) looks: c_int,
    pub(crate) sleep: c_int,
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

/// `struct engine`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) engine_type: c_int,
    pub(crate) name: *mut c_char,
    pub(crate) params: *mut c_void,
    pub(crate) proj: *mut Project,
    pub(crate) page_ref: *mut PageRefs,
    pub(crate) ops: *mut EngineOps,
    pub(crate) tasks: *mut Task,
    pub(crate) page_cnt: u64,
    pub(crate) next: *mut Engine,
    pub(crate) handler: *mut c_void,
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
    pub(crate) task_pt: c_ulong,
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

/// `struct engine_ops`: what a plugin exports. Made by [`export!`](crate::export).
#[repr(C)]
#[derive(Debug)]
pub struct EngineOps {
    pub(crate) fill_eng_params: Option<FillEngine>,
    pub(crate) clear_eng_params: Option<ClearEngine>,
    pub(crate) fill_task_params: Option<FillTask>,
    pub(crate) clear_task_params: Option<ClearTask>,
    pub(crate) start_task: Option<StartTask>,
    pub(crate) stop_task: Option<StopTask>,
    pub(crate) alloc_pid_params: Option<AllocatePid>,
    pub(crate) free_pid_params: Option<FreePid>,
    pub(crate) eng_mgt_func: Option<Command>,
}

pub(crate) type FillEngine = unsafe extern "C" fn(*mut GKeyFile, *mut Engine) -> c_int;
pub(crate) type ClearEngine = unsafe extern "C" fn(*mut Engine);
pub(crate) type FillTask = unsafe extern "C" fn(*mut GKeyFile, *mut Task) -> c_int;
pub(crate) type ClearTask = unsafe extern "C" fn(*mut Task);
pub(crate) type StartTask = unsafe extern "C" fn(*mut Engine, *mut Task) -> c_int;
pub(crate) type StopTask = unsafe extern "C" fn(*mut Engine, *mut Task);
pub(crate) type AllocatePid = unsafe extern "C" fn(*mut Engine, *mut *mut TaskPid) -> c_int;
pub(crate) type FreePid = unsafe extern "C" fn(*mut Engine, *mut *mut TaskPid);
pub(crate) type Command = unsafe extern "C" fn(*mut Engine, *mut Task, *mut c_char, c_int) -> c_int;

/// `struct page_refs`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct PageRefs {
    pub(crate) addr: u64,
    pub(crate) count: c_int,
    pub(crate) kind: c_uint,
    pub(crate) next: *mut PageRefs,
}

/// `struct vma`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Vma {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Read, write, execute, share.
    pub(crate) stat: [bool; 4],
    pub(crate) offset: u64,
    pub(crate) inode: u64,
    pub(crate) path: [c_char; 256],
    pub(crate) major: [c_char; 8],
    pub(crate) minor: [c_char; 8],
    pub(crate) next: *mut Vma,
}

/// `struct vmas`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Vmas {
    pub(crate) vma_cnt: u64,
    pub(crate) vma_list: *mut Vma,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    /// The same table that the headers and the scan library are compared with.
    const LAYOUT: &str = include_str!("../../../../tests/scan_library/layout.txt");

    macro_rules! mirror {
        ($($struct:ident as $name:literal { $($field:ident as $in_c:literal),* })*) => {
            vec![$(
                (format!("size {}", $name), size_of::<$struct>()),
                $((format!("offset {} {}", $name, $in_c), offset_of!($struct, $field)),)*
            )*]
        };
    }

    #[test]
    fn as_the_table_says() {
        let mirror = mirror! {
            PageRefs as "page_refs" { addr as "addr", count as "count", kind as "type", next as "next" }
            Vma as "vma" {
                start as "start", end as "end", stat as "stat", offset as "offset", inode as "inode",
                path as "path", major as "major", minor as "minor", next as "next"
            }
            Vmas as "vmas" { vma_cnt as "vma_cnt", vma_list as "vma_list" }
            EngineOps as "engine_ops" {
                fill_eng_params as "fill_eng_params", clear_eng_params as "clear_eng_params",
                fill_task_params as "fill_task_params", clear_task_params as "clear_task_params",
                start_task as "start_task", stop_task as "stop_task", alloc_pid_params as "alloc_pid_params",
                free_pid_params as "free_pid_params", eng_mgt_func as "eng_mgt_func"
            }
            Engine as "engine" {
                engine_type as "engine_type", name as "name", params as "params", proj as "proj",
                page_ref as "page_ref", ops as "ops", tasks as "tasks", page_cnt as "page_cnt", next as "next",
                handler as "handler"
            }
            Project as "project" {
                name as "name", kind as "type", scan_param as "scan_param", sysmem_threshold as "sysmem_threshold",
                swapcache_high_wmark as "swapcache_high_wmark", swapcache_low_wmark as "swapcache_low_wmark",
                start as "start", wmark_set as "wmark_set", engs as "engs", entry as "entry"
            }
            Task as "task" {
                kind as "type", value as "value", name as "name", max_threads as "max_threads",
                swap_flag as "swap_flag", pids as "pids", eng as "eng", params as "params", task_pt as "task_pt",
                timer_inst as "timer_inst", threadpool_inst as "threadpool_inst", next as "next"
            }
            TaskPid as "task_pid" {
                pid as "pid", rt_swapin_rate as "rt_swapin_rate", params as "params", tk as "tk", next as "next"
            }
            PageScan as "page_scan" { interval as "interval", looks as "loop", sleep as "sleep" }
        };
        let others = ["region_scan", "psi_scan"];
        let table: Vec<(String, usize)> = LAYOUT
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter(|line| !others.contains(&line.split_whitespace().nth(1).unwrap()))
            .map(|line| {
                let (what, bytes) = line.rsplit_once(' ').unwrap();
                (what.to_owned(), bytes.parse().unwrap())
            })
            .collect();
        assert_eq!(mirror, table);
    }
}
