//! The structures and constants of the C headers in `include/`, under the names that C gives them.
//!
//! The daemon, the crate for plugins in Rust and the scan library all use these. They are a mirror, not a model: each user
//! converts them at its border. The headers say what the fields mean. `tests/scan_library` compares the headers with
//! `layout.txt`; the test here compares these structures with the same table.

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

/// `engine.engine_type` of a plugin.
pub const ETMEMD_THIRDPARTY_ENGINE: c_int = 7;

/// `project.type` for `scan_type=page`: `scan_param` points to a [`PageScan`].
pub const PAGE_SCAN: c_int = 0;
/// `project.type` for `scan_type=region`: `scan_param` points to a [`RegionScan`].
pub const REGION_SCAN: c_int = 1;
/// `project.type` for `scan_type=psi`: `scan_param` points to a [`PsiScan`].
pub const PSI_SCAN: c_int = 2;

/// Flag of a scan: take a virtual machine's memory for huge pages.
pub const SCAN_AS_HUGE: c_int = 0o100_000_000;
/// Flag of a scan: leave out what the host itself touched.
pub const SCAN_IGN_HOST: c_int = 0o200_000_000;
/// Flag of a scan, and `task.swap_flag` for `swap_flag=yes`: only mappings marked by `MADV_SWAPFLAG`.
pub const VMA_SCAN_FLAG: c_int = 0x1000;

/// `page_refs.type`: a base page.
pub const PTE_TYPE: c_uint = 0;
/// `page_refs.type`: a page of 2 MiB.
pub const PMD_TYPE: c_uint = 1;
/// `page_refs.type`: a page of 1 GiB.
pub const PUD_TYPE: c_uint = 2;

/// Bytes of `vma.path`, the zero at its end included.
pub const VMA_PATH_STR_LEN: usize = 256;
/// Bytes of `vma.major`.
pub const VMA_MAJOR_NUM_LEN: usize = 8;
/// Bytes of `vma.minor`.
pub const VMA_MINOR_NUM_LEN: usize = 8;

/// GLib 2, by which plugins read their parameters. It has had this name since 2002.
pub const GLIB: &str = "libglib-2.0.so.0";

/// The scan library.
pub const SCAN_LIBRARY: &str = "libetmemd_scan.so";
/// Where the scan library is looked for after the linker's own paths: folders, from that of the daemon's program.
pub const SCAN_LIBRARY_FOLDERS: [&str; 3] = [".", "../lib", "../lib64"];

/// A structure of C: its name there, its fields in their order, and a name for each that Rust does not accept.
macro_rules! structures {
    ($($(#[$documentation:meta])* $in_c:literal $name:ident {
        $($field:ident $(($field_in_c:literal))?: $type:ty,)+
    })+) => {
        $(
            $(#[$documentation])*
            #[repr(C)]
            #[derive(Debug)]
            #[expect(missing_docs, reason = "the headers say what the fields mean")]
            pub struct $name {
                $(pub $field: $type,)+
            }
        )+

        /// Size and offsets of each structure, in the words of `layout.txt`.
        #[cfg(test)]
        fn layout() -> Vec<String> {
            let mut lines = Vec::new();
            $(
                lines.push(format!("size {} {}", $in_c, size_of::<$name>()));
                $(
                    let field = [$($field_in_c,)? stringify!($field)][0];
                    lines.push(format!("offset {} {field} {}", $in_c, std::mem::offset_of!($name, $field)));
                )+
            )+
            lines
        }
    };
}

structures! {
    /// A page in memory, in a list in ascending order of address.
    "page_refs" PageRefs {
        addr: u64,
        count: c_int,
        kind("type"): c_uint,
        next: *mut PageRefs,
    }

    /// A mapping of a process.
    "vma" Vma {
        start: u64,
        end: u64,
        stat: [bool; 4],
        offset: u64,
        inode: u64,
        path: [c_char; VMA_PATH_STR_LEN],
        major: [c_char; VMA_MAJOR_NUM_LEN],
        minor: [c_char; VMA_MINOR_NUM_LEN],
        next: *mut Vma,
    }

    /// A list of mappings, in ascending order of address.
    "vmas" Vmas {
        vma_cnt: u64,
        vma_list: *mut Vma,
    }

    /// What a plugin exports: the functions that the daemon calls.
    "engine_ops" EngineOps {
        fill_eng_params: Option<unsafe extern "C" fn(*mut GKeyFile, *mut Engine) -> c_int>,
        clear_eng_params: Option<unsafe extern "C" fn(*mut Engine)>,
        fill_task_params: Option<unsafe extern "C" fn(*mut GKeyFile, *mut Task) -> c_int>,
        clear_task_params: Option<unsafe extern "C" fn(*mut Task)>,
        start_task: Option<unsafe extern "C" fn(*mut Engine, *mut Task) -> c_int>,
        stop_task: Option<unsafe extern "C" fn(*mut Engine, *mut Task)>,
        alloc_pid_params: Option<unsafe extern "C" fn(*mut Engine, *mut *mut TaskPid) -> c_int>,
        free_pid_params: Option<unsafe extern "C" fn(*mut Engine, *mut *mut TaskPid)>,
        eng_mgt_func: Option<unsafe extern "C" fn(*mut Engine, *mut Task, *mut c_char, c_int) -> c_int>,
    }

    /// An engine of a project.
    "engine" Engine {
        engine_type: c_int,
        name: *mut c_char,
        params: *mut c_void,
        proj: *mut Project,
        page_ref: *mut PageRefs,
        ops: *mut EngineOps,
        tasks: *mut Task,
        page_cnt: u64,
        next: *mut Engine,
        handler: *mut c_void,
    }

    /// A project.
    "project" Project {
        name: *mut c_char,
        kind("type"): c_int,
        scan_param: *mut c_void,
        sysmem_threshold: c_int,
        swapcache_high_wmark: c_int,
        swapcache_low_wmark: c_int,
        start: bool,
        wmark_set: bool,
        engs: *mut Engine,
        entry: *mut c_void,
    }

    /// A task of an engine.
    "task" Task {
        kind("type"): *mut c_char,
        value: *mut c_char,
        name: *mut c_char,
        max_threads: c_int,
        swap_flag: c_int,
        pids: *mut TaskPid,
        eng: *mut Engine,
        params: *mut c_void,
        task_pt: c_ulong,
        timer_inst: *mut c_void,
        threadpool_inst: *mut c_void,
        next: *mut Task,
    }

    /// A process of a task.
    "task_pid" TaskPid {
        pid: c_uint,
        rt_swapin_rate: f32,
        params: *mut c_void,
        tk: *mut Task,
        next: *mut TaskPid,
    }

    /// The keys of `scan_type=page`, in seconds.
    "page_scan" PageScan {
        interval: c_int,
        loops("loop"): c_int,
        sleep: c_int,
    }

    /// The keys of `scan_type=region`, in microseconds.
    "region_scan" RegionScan {
        sample_interval: c_ulong,
        aggr_interval: c_ulong,
        update_interval: c_ulong,
        min_nr_regions: c_ulong,
        max_nr_regions: c_ulong,
    }

    /// The key of `scan_type=psi`, in seconds.
    "psi_scan" PsiScan {
        interval: c_int,
    }
}

/// GLib's key file, which only GLib looks into.
#[repr(C)]
#[derive(Debug)]
pub struct GKeyFile {
    _opaque: [u8; 0],
}

#[cfg(test)]
mod tests {
    #[test]
    fn structures_match_the_table_of_the_headers() {
        let table = include_str!("../../../tests/scan_library/layout.txt");
        let lines: Vec<&str> = table.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(super::layout(), lines);
    }
}
