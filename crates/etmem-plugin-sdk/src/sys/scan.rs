//! The scan library, loaded when it is first needed.
//!
//! All plugins of a process share one copy of it and its state. So it is loaded by its name first, which finds the copy that
//! another plugin is linked with. This crate initialises it and never ends it, since other plugins may use it.
#![expect(unsafe_code, reason = "functions of another library, and its lists")]

use crate::memory::{Mapping, Page};
use etmem_abi::{
    PMD_TYPE, PTE_TYPE, PageRefs, SCAN_LIBRARY, SCAN_LIBRARY_FOLDERS, VMA_MAJOR_NUM_LEN, VMA_MINOR_NUM_LEN,
    VMA_PATH_STR_LEN, Vma, Vmas,
};
use libloading::Library;
use libloading::os::unix;
use std::env;
use std::ffi::{CStr, CString, c_char, c_int};
use std::io;
use std::path::PathBuf;
use std::ptr;
use std::sync::OnceLock;

#[derive(Debug)]
struct Scan {
    init: unsafe extern "C" fn() -> c_int,
    get_vmas: unsafe extern "C" fn(*const c_char, *mut *mut c_char, c_int, bool) -> *mut Vmas,
    free_vmas: unsafe extern "C" fn(*mut Vmas),
    get_page_refs: unsafe extern "C" fn(*const Vmas, *const c_char, *mut *mut PageRefs, c_int) -> c_int,
    free_page_refs: unsafe extern "C" fn(*mut PageRefs),
    _library: Library,
}

fn library() -> io::Result<&'static Scan> {
    static SCAN: OnceLock<Result<Scan, String>> = OnceLock::new();
    SCAN.get_or_init(find).as_ref().map_err(|reason| io::Error::other(reason.as_str()))
}

fn find() -> Result<Scan, String> {
    // SAFETY: nothing is loaded by this.
    let is_loaded =
        unsafe { unix::Library::open(Some(SCAN_LIBRARY), libc::RTLD_LAZY | libc::RTLD_NOLOAD) }.is_ok();
    let scan = load()?;
    // What another plugin loaded it initialises itself: the library logs a second time as a fault.
    if !is_loaded {
        // SAFETY: it can be called at any time.
        unsafe { (scan.init)() };
    }
    Ok(scan)
}

fn load() -> Result<Scan, String> {
    let program = env::current_exe().unwrap_or_default();
    let folder = program.parent().map(PathBuf::from).unwrap_or_default();
    let others = SCAN_LIBRARY_FOLDERS.iter().map(|place| folder.join(place).join(SCAN_LIBRARY));
    let mut reasons = Vec::new();
    for place in std::iter::once(PathBuf::from(SCAN_LIBRARY)).chain(others) {
        // SAFETY: the scan library runs no code when it is loaded.
        match unsafe { Library::new(&place) } {
            Ok(library) => {
                return functions(library).map_err(|error| format!("{}: {error}", place.display()));
            }
            Err(error) => reasons.push(error.to_string()),
        }
    }
    Err(format!(
        "no scan library: install {SCAN_LIBRARY} (make install, then ldconfig); {}",
        reasons.join("; ")
    ))
}

fn functions(library: Library) -> Result<Scan, libloading::Error> {
    // SAFETY: the types are those of etmemd_scan_export.h; the library stays with them.
    unsafe {
        Ok(Scan {
            init: *library.get(c"etmemd_scan_init")?,
            get_vmas: *library.get(c"etmemd_get_vmas")?,
            free_vmas: *library.get(c"etmemd_free_vmas")?,
            get_page_refs: *library.get(c"etmemd_get_page_refs")?,
            free_page_refs: *library.get(c"etmemd_free_page_refs")?,
            _library: library,
        })
    }
}

fn text(pid: u32) -> CString {
    CString::new(pid.to_string()).unwrap_or_default()
}

/// The mappings of process `pid`.
pub(crate) fn mappings(pid: u32) -> io::Result<Vec<Mapping>> {
    let scan = library()?;
    // SAFETY: a string, and no flags.
    let vmas = unsafe { (scan.get_vmas)(text(pid).as_ptr(), ptr::null_mut(), 0, false) };
    // SAFETY: NULL or a list, ours until it is freed; so is each mapping below.
    let Some(list) = (unsafe { vmas.as_ref() }) else { return Err(io::Error::last_os_error()) };
    let mut mappings = Vec::new();
    let mut next = list.vma_list;
    // SAFETY: as above.
    while let Some(vma) = unsafe { next.as_ref() } {
        mappings.push(mapping(vma));
        next = vma.next;
    }
    // SAFETY: from this library, and not used again.
    unsafe { (scan.free_vmas)(vmas) };
    Ok(mappings)
}

fn mapping(vma: &Vma) -> Mapping {
    let [readable, writable, executable, shared] = vma.stat;
    // SAFETY: the library ends it by zero.
    let name = unsafe { CStr::from_ptr(vma.path.as_ptr()) }.to_bytes().to_vec();
    Mapping { range: vma.start..vma.end, readable, writable, executable, shared, inode: vma.inode, name }
}

/// One scan of the pages of process `pid` in `mappings`, added to `list`.
pub(crate) fn look(pid: u32, mappings: &[Mapping], list: &mut PageList) -> io::Result<()> {
    let scan = library()?;
    let mut vmas: Vec<Vma> =
        mappings.iter().map(|mapping| vma(mapping.range.start, mapping.range.end)).collect();
    let mut next = ptr::null_mut();
    for vma in vmas.iter_mut().rev() {
        vma.next = next;
        next = vma;
    }
    let vmas = Vmas { vma_cnt: vmas.len() as u64, vma_list: next };
    let pid = text(pid);
    // SAFETY: a list of as many mappings as it says, a string, and a list of this library's or NULL.
    let look = |list: &mut PageList| unsafe {
        (scan.get_page_refs)(&raw const vmas, pid.as_ptr(), &raw mut list.first, 0)
    };
    if look(list) == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    // It is not initialised yet, or another plugin ended it. If two initialise it at once, it was done for one of them.
    if error.raw_os_error() != Some(libc::EPERM) {
        return Err(error);
    }
    // SAFETY: it can be called at any time.
    unsafe { (scan.init)() };
    if look(list) == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn vma(start: u64, end: u64) -> Vma {
    Vma {
        start,
        end,
        stat: [false; 4],
        offset: 0,
        inode: 0,
        path: [0; VMA_PATH_STR_LEN],
        major: [0; VMA_MAJOR_NUM_LEN],
        minor: [0; VMA_MINOR_NUM_LEN],
        next: ptr::null_mut(),
    }
}

/// A list of pages that the library made.
#[derive(Debug)]
pub(crate) struct PageList {
    first: *mut PageRefs,
}

// SAFETY: the list is this value's alone, and the library's functions may be called by any thread.
unsafe impl Send for PageList {}
// SAFETY: shared, it is only read.
unsafe impl Sync for PageList {}

impl Default for PageList {
    fn default() -> Self {
        Self { first: ptr::null_mut() }
    }
}

impl PageList {
    /// The pages in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Page> + '_ {
        let mut next = self.first;
        std::iter::from_fn(move || {
            // SAFETY: NULL or a node of the list, which lives as long as this borrow of it.
            let node = unsafe { next.as_ref() }?;
            next = node.next;
            let bytes = match node.kind {
                PTE_TYPE => 4 << 10,
                PMD_TYPE => 2 << 20,
                _ => 1 << 30,
            };
            Some(Page { address: node.addr, bytes, count: u32::try_from(node.count).unwrap_or(0) })
        })
    }
}

impl Drop for PageList {
    fn drop(&mut self) {
        if let (false, Ok(scan)) = (self.first.is_null(), library()) {
            // SAFETY: from this library, and not used again.
            unsafe { (scan.free_page_refs)(self.first) };
        }
    }
}
