//! `libetmemd_scan`: the scan library of etmem 1.x, for programs in C and C++.
//!
//! In: a pid. Out: its mappings, and which pages of them are in memory and were touched, as lists of malloc(3). It
//! scans by openEuler's module where that is loaded, else through BPF; it moves nothing and decides nothing.
//! `docs/scan-library.md` is its manual.
//!
//! ```text
//! listing (maps, smaps)  ->  struct vmas  ->  scanner (probe of etmem-linux)  ->  chain (struct page_refs)
//! ```
//!
//! No panic leaves the library, and a function that fails leaves its arguments as they were. Scans take one lock, so two
//! scans never run at the same time. The other functions can be called at any time, each list by one thread at a time.
//!
//! It is built as an archive, of which `scripts/link-scan-library` makes the shared library: the symbols have the
//! version node `libetmemd_scan`, and rustc, when it links a shared library, passes a version script without a node,
//! beside which linkers accept no other.
#![expect(unsafe_code, reason = "the border to C: raw pointers in and out, memory of malloc(3)")]

mod chain;
mod failure;
mod listing;
mod scanner;

use etmem_abi::{PageRefs, Vma, Vmas};
use failure::Failure;
use listing::Listed;
use scanner::Scanner;
use std::ffi::{CStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

static SCANNER: Mutex<Option<Scanner>> = Mutex::new(None);

fn scanner() -> MutexGuard<'static, Option<Scanner>> {
    SCANNER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The result of `body`, or `failed` after the reason was reported.
fn guarded<T>(call: &str, failed: T, body: impl FnOnce() -> Result<T, Failure>) -> T {
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or(Err(Failure::Panic));
    result.unwrap_or_else(|failure| {
        // A panic while reporting must not leave the library either.
        let _ = catch_unwind(AssertUnwindSafe(|| failure.report(call)));
        failed
    })
}

/// The string at `text`, which messages call `what`.
///
/// # Safety
/// `text` is null or a string that ends in zero.
unsafe fn bytes<'a>(text: *const c_char, what: &'static str) -> Result<&'a [u8], Failure> {
    if text.is_null() {
        return Err(Failure::Null(what));
    }
    // SAFETY: not null; the caller promises the rest.
    Ok(unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// Must be called before [`etmemd_get_page_refs`]. Returns 0, or -1 if it was called already.
#[unsafe(no_mangle)]
pub extern "C" fn etmemd_scan_init() -> c_int {
    guarded("etmemd_scan_init", -1, || {
        let mut scanner = scanner();
        if scanner.is_some() {
            return Err(Failure::AlreadyInitialised);
        }
        *scanner = Some(Scanner::new());
        Ok(0)
    })
}

/// Frees what [`etmemd_scan_init`] and later scans allocated. Waits for a scan that is under way.
#[unsafe(no_mangle)]
pub extern "C" fn etmemd_scan_exit() {
    guarded("etmemd_scan_exit", (), || {
        drop(scanner().take());
        Ok(())
    });
}

/// The mappings of `pid` that have all flags of `vmflags_array` in `VmFlags`, in ascending order; with `is_anon_only`, only
/// the anonymous ones. NULL on failure. The caller frees them by [`etmemd_free_vmas`].
///
/// # Safety
/// `pid` is NULL or a string; `vmflags_array` holds `vmflags_num` of these.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn etmemd_get_vmas(
    pid: *const c_char,
    vmflags_array: *const *const c_char,
    vmflags_num: c_int,
    is_anon_only: bool,
) -> *mut Vmas {
    guarded("etmemd_get_vmas", ptr::null_mut(), || {
        // SAFETY: as the caller promises.
        let pid = scanner::pid(&String::from_utf8_lossy(unsafe { bytes(pid, "pid") }?))?;
        let number = usize::try_from(vmflags_num).map_err(|_| Failure::Argument {
            what: "vmflags_num",
            value: vmflags_num.to_string(),
            rule: "0 or more",
        })?;
        if number > 0 && vmflags_array.is_null() {
            return Err(Failure::Null("vmflags_array"));
        }
        let mut flags = Vec::new();
        for at in 0..number {
            // SAFETY: within the array, as the caller promises.
            let text = unsafe { bytes(*vmflags_array.add(at), "a flag") }?;
            flags.push(scanner::flag(text)?);
        }
        vmas(&scanner::mappings(pid, &flags, is_anon_only)?)
    })
}

/// New memory for one `T`, all of it zero.
fn zeroed<T>() -> Result<*mut T, Failure> {
    // SAFETY: any size is allowed.
    let memory = unsafe { libc::calloc(1, size_of::<T>()) };
    if memory.is_null() { Err(Failure::Memory) } else { Ok(memory.cast()) }
}

/// Copies as much of `text` as `out` can hold before a final zero. The rest of `out` is zero already.
fn copy_text(text: &[u8], out: &mut [c_char]) {
    let room = out.len() - 1;
    for (to, from) in out[..room].iter_mut().zip(text) {
        *to = c_char::from_ne_bytes([*from]);
    }
}

fn vmas(mappings: &[Listed]) -> Result<*mut Vmas, Failure> {
    let vmas = zeroed::<Vmas>()?;
    // SAFETY: new, aligned for every type, and zero is a valid value of each field; so below.
    let list = unsafe { &mut *vmas };
    let mut place = &raw mut list.vma_list;
    for mapping in mappings {
        let Ok(fresh) = zeroed::<Vma>() else {
            // SAFETY: made here, and not used again.
            unsafe { etmemd_free_vmas(vmas) };
            return Err(Failure::Memory);
        };
        // SAFETY: as above.
        let vma = unsafe { &mut *fresh };
        (vma.start, vma.end, vma.stat) = (mapping.start, mapping.end, mapping.stat);
        (vma.offset, vma.inode) = (mapping.offset, mapping.inode);
        copy_text(&mapping.path, &mut vma.path);
        copy_text(&mapping.major, &mut vma.major);
        copy_text(&mapping.minor, &mut vma.minor);
        // SAFETY: `place` is in the structure, or in the mapping before this one.
        unsafe { *place = fresh };
        place = &raw mut vma.next;
        list.vma_cnt += 1;
    }
    Ok(vmas)
}

/// Frees a list of [`etmemd_get_vmas`]; NULL is ignored.
///
/// # Safety
/// `vmas` is NULL or came from there, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn etmemd_free_vmas(vmas: *mut Vmas) {
    // SAFETY: as the caller promises.
    let Some(list) = (unsafe { vmas.as_ref() }) else { return };
    let mut vma = list.vma_list;
    while !vma.is_null() {
        // SAFETY: a mapping of the list, read before it is freed.
        let next = unsafe { (*vma).next };
        // SAFETY: it came from malloc(3).
        unsafe { libc::free(vma.cast()) };
        vma = next;
    }
    // SAFETY: as above.
    unsafe { libc::free(vmas.cast()) };
}

/// One scan of `vmas` of `pid`: each page in memory, with 0, 1 or 3 for untouched, read or written since the scan before.
/// The pages are added to the list at `page_refs`, in order of address. Returns 0, or -1 on failure; then nothing is added.
///
/// # Safety
/// `vmas` is NULL or a list of `vma_cnt` mappings, `pid` NULL or a string, `page_refs` NULL or the place of NULL or of a
/// list from this function. No other thread uses them meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn etmemd_get_page_refs(
    vmas: *const Vmas,
    pid: *const c_char,
    page_refs: *mut *mut PageRefs,
    flags: c_int,
) -> c_int {
    guarded("etmemd_get_page_refs", -1, || {
        // SAFETY: as the caller promises, here and below.
        let list = unsafe { vmas.as_ref() }.ok_or(Failure::Null("vmas"))?;
        // SAFETY: as above.
        let into = unsafe { page_refs.as_mut() }.ok_or(Failure::Null("page_refs"))?;
        // SAFETY: as above.
        let pid = scanner::pid(&String::from_utf8_lossy(unsafe { bytes(pid, "pid") }?))?;
        let scanner = scanner();
        let scanner = scanner.as_ref().ok_or(Failure::NotInitialised)?;
        let mut ranges = Vec::new();
        let mut vma = list.vma_list;
        for _ in 0..list.vma_cnt {
            // SAFETY: as above; a list that ends before this number ends in null.
            let Some(mapping) = (unsafe { vma.as_ref() }) else { break };
            ranges.push(scanner::range(mapping.start, mapping.end)?);
            vma = mapping.next;
        }
        // SAFETY: as above.
        unsafe { scanner.scan(pid, ranges, flags, into) }?;
        Ok(0)
    })
}

/// Frees a list of [`etmemd_get_page_refs`]; NULL is ignored.
///
/// # Safety
/// `page_refs` is NULL or the first of such a list, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn etmemd_free_page_refs(page_refs: *mut PageRefs) {
    // SAFETY: as the caller promises.
    unsafe { chain::free(page_refs) };
}
