//! `struct project`, which the plugins of one project share, and the list of their engines in it.
//!
//! It lives as long as any of these plugins, even if the project was removed. What changes while plugins may read it is
//! changed by one store each: the links of the list, and whether the project runs.

use crate::text::Text;
use etmem_abi as abi;
use etmem_config::ProjectSection;
use etmem_config::values::Percent;
use etmem_engine::{PsiScan, RegionScan};
use parking_lot::Mutex;
use std::ffi::{c_int, c_ulong, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What the plugins of one project share. It is made with the first of them.
#[derive(Debug, Default)]
pub struct SharedProject {
    mirror: OnceLock<Arc<Mirror>>,
}

impl SharedProject {
    /// The structure, made from `section` if it does not exist yet.
    pub(crate) fn mirror(&self, section: &ProjectSection) -> Arc<Mirror> {
        Arc::clone(self.mirror.get_or_init(|| Arc::new(Mirror::new(section))))
    }
}

/// `struct project` with what it points to.
#[derive(Debug)]
pub(crate) struct Mirror {
    pub(crate) project: *mut abi::Project,
    scan: ScanParameters,
    _name: Text,
    /// Held while the list of engines is changed.
    list: Mutex<()>,
}

/// What `scan_param` points to.
#[derive(Debug)]
enum ScanParameters {
    Page(*mut abi::PageScan),
    Region(*mut abi::RegionScan),
    Psi(*mut abi::PsiScan),
}

// SAFETY: the structures are made here, freed with the last owner, and changed only by single atomic stores; the list only
// under its lock.
unsafe impl Send for Mirror {}
// SAFETY: as above.
unsafe impl Sync for Mirror {}

fn seconds(duration: Duration) -> c_int {
    // A plugin reads whole seconds, and none would be no pause at all.
    c_int::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(c_int::MAX)
}

fn microseconds(duration: Duration) -> c_ulong {
    c_ulong::try_from(duration.as_micros()).unwrap_or(c_ulong::MAX)
}

fn percent(percent: Option<Percent>) -> c_int {
    percent.map_or(-1, |percent| c_int::from(percent.get()))
}

fn leak<T>(thing: T) -> *mut T {
    Box::into_raw(Box::new(thing))
}

impl ScanParameters {
    /// Those of `section`, the number of their kind, and where they are.
    fn new(section: &ProjectSection) -> (Self, c_int, *mut c_void) {
        if let Some(scan) = &section.page {
            let (interval, sleep) = (seconds(scan.interval), seconds(scan.sleep));
            let scan = leak(abi::PageScan { interval, loops: c_int::from(scan.loops), sleep });
            (Self::Page(scan), abi::PAGE_SCAN, scan.cast())
        } else if let Ok(scan) = RegionScan::new(section) {
            let scan = leak(abi::RegionScan {
                sample_interval: microseconds(scan.sample_interval),
                aggr_interval: microseconds(scan.aggregation_interval),
                update_interval: microseconds(scan.update_interval),
                min_nr_regions: scan.min_regions,
                max_nr_regions: scan.max_regions,
            });
            (Self::Region(scan), abi::REGION_SCAN, scan.cast())
        } else {
            let interval = PsiScan::new(section).map_or(0, |scan| seconds(scan.interval));
            let scan = leak(abi::PsiScan { interval });
            (Self::Psi(scan), abi::PSI_SCAN, scan.cast())
        }
    }
}

impl Mirror {
    fn new(section: &ProjectSection) -> Self {
        let (scan, kind, scan_param) = ScanParameters::new(section);
        let mut name = Text::new(section.name.as_str());
        let watermarks = section.swapcache_watermarks.as_ref();
        let project = leak(abi::Project {
            name: name.as_mut_ptr(),
            kind,
            scan_param,
            sysmem_threshold: percent(section.sysmem_threshold),
            swapcache_high_wmark: percent(watermarks.map(|marks| marks.high)),
            swapcache_low_wmark: percent(watermarks.map(|marks| marks.low)),
            start: false,
            wmark_set: false,
            engs: ptr::null_mut(),
            entry: ptr::null_mut(),
        });
        Self { project, scan, _name: name, list: Mutex::new(()) }
    }

    /// The project has started or stopped.
    pub(crate) fn runs(&self, runs: bool) {
        // SAFETY: ours, alive, and changed in no other way.
        unsafe { AtomicBool::from_ptr(&raw mut (*self.project).start) }.store(runs, Ordering::Release);
    }

    /// Puts `engine` before the others.
    ///
    /// # Safety
    /// It is valid until it is taken out.
    pub(crate) unsafe fn put(&self, engine: *mut abi::Engine) {
        let _list = self.list.lock();
        // SAFETY: ours and alive; the engine's link as the caller promises.
        unsafe { put(&raw mut (*self.project).engs, engine, |engine| &raw mut (*engine).next) };
    }

    /// Takes `engine` out of the list, if it is there.
    pub(crate) fn take(&self, engine: *mut abi::Engine) {
        let _list = self.list.lock();
        // SAFETY: ours and alive; all in the list are valid, as the callers of `put` promised.
        unsafe { take(&raw mut (*self.project).engs, engine, |engine| &raw mut (*engine).next) };
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        // SAFETY: made by Box, and no owner is left.
        unsafe {
            match self.scan {
                ScanParameters::Page(scan) => drop(Box::from_raw(scan)),
                ScanParameters::Region(scan) => drop(Box::from_raw(scan)),
                ScanParameters::Psi(scan) => drop(Box::from_raw(scan)),
            }
            drop(Box::from_raw(self.project));
        }
    }
}

/// Puts `thing` at the front of the list that begins at `head` and goes on at `next` of each. A concurrent reader sees the
/// list with it or without it.
///
/// # Safety
/// `head` and the link of `thing` are valid, and no other thread changes the list meanwhile.
pub(crate) unsafe fn put<T>(head: *mut *mut T, thing: *mut T, next: impl Fn(*mut T) -> *mut *mut T) {
    // SAFETY: as the caller promises.
    unsafe {
        let head = AtomicPtr::from_ptr(head);
        AtomicPtr::from_ptr(next(thing)).store(head.load(Ordering::Acquire), Ordering::Release);
        head.store(thing, Ordering::Release);
    }
}

/// Takes `thing` out of the list, if it is there. Its own link stays, so a concurrent reader can go on from it.
///
/// # Safety
/// `head` and all that is in the list are valid, and no other thread changes the list meanwhile.
pub(crate) unsafe fn take<T>(head: *mut *mut T, thing: *mut T, next: impl Fn(*mut T) -> *mut *mut T) {
    // SAFETY: as the caller promises: each place is the head or the link of something in the list.
    unsafe {
        let mut place = head;
        loop {
            let at = AtomicPtr::from_ptr(place).load(Ordering::Acquire);
            if at.is_null() {
                return;
            }
            if at == thing {
                let rest = AtomicPtr::from_ptr(next(thing)).load(Ordering::Acquire);
                AtomicPtr::from_ptr(place).store(rest, Ordering::Release);
                return;
            }
            place = next(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn mirror(lines: &str) -> Mirror {
        let text = format!("[project]\nname=p\n{lines}");
        Mirror::new(
            &etmem_config::parse(std::path::Path::new("f"), &text, &etmem_engine::keys()).unwrap().projects
                [0],
        )
    }

    #[test]
    fn project_of_each_scan_type_is_mirrored() {
        let page = mirror(
            "loop=3\ninterval=5\nsleep=10\nsysmem_threshold=50\nswapcache_high_wmark=7\nswapcache_low_wmark=3\n",
        );
        let region = mirror(
            "scan_type=region\nsample_interval=1000\naggr_interval=2000\nupdate_interval=3000000\n\
             min_nr_regions=4\nmax_nr_regions=5\n",
        );
        let psi = mirror("scan_type=psi\ninterval=9\n");
        // SAFETY: all of it is there until the mirrors go.
        unsafe {
            let project = &*page.project;
            assert_eq!((CStr::from_ptr(project.name), project.kind), (c"p", 0));
            let scan = &*project.scan_param.cast::<abi::PageScan>();
            assert_eq!((scan.interval, scan.loops, scan.sleep), (5, 3, 10));
            let figures =
                (project.sysmem_threshold, project.swapcache_high_wmark, project.swapcache_low_wmark);
            assert_eq!((figures, project.start, project.wmark_set), ((50, 7, 3), false, false));
            let project = &*region.project;
            let scan = &*project.scan_param.cast::<abi::RegionScan>();
            let intervals = (scan.sample_interval, scan.aggr_interval, scan.update_interval);
            assert_eq!((project.kind, intervals), (1, (1000, 2000, 3_000_000)));
            assert_eq!((scan.min_nr_regions, scan.max_nr_regions), (4, 5));
            let project = &*psi.project;
            assert_eq!((project.kind, (*project.scan_param.cast::<abi::PsiScan>()).interval), (2, 9));
            let figures =
                (project.sysmem_threshold, project.swapcache_high_wmark, project.swapcache_low_wmark);
            assert_eq!(figures, (-1, -1, -1));
        }
    }

    struct Link {
        next: *mut Link,
    }

    #[test]
    fn newest_is_first_and_removal_leaves_no_gap() {
        let mut links = [const { Link { next: ptr::null_mut() } }; 3];
        let [a, b, c] = links.each_mut().map(ptr::from_mut);
        let mut head = ptr::null_mut();
        let at = &raw mut head;
        let next = |link: *mut Link| {
            // SAFETY: one of the three.
            unsafe { &raw mut (*link).next }
        };
        let is_there = |link: &*mut Link| !link.is_null();
        let list = || {
            // SAFETY: the head and the three are there.
            let (first, rest) = unsafe { (*at, |link: *mut Link| *next(link)) };
            std::iter::successors(Some(first).filter(is_there), |link| Some(rest(*link)).filter(is_there))
                .collect::<Vec<_>>()
        };
        // SAFETY: as above.
        unsafe {
            put(at, a, next);
            put(at, b, next);
            put(at, c, next);
            assert_eq!(list(), [c, b, a]);
            take(at, b, next);
            take(at, b, next);
            assert_eq!(list(), [c, a]);
            assert_eq!(*next(b), a, "a reader that is there goes on");
            take(at, c, next);
            take(at, a, next);
        }
        assert!(head.is_null());
    }
}
