//! Keeping this code loaded.
#![expect(unsafe_code, reason = "dladdr(3) and dlopen(3)")]

use libloading::os::unix::{Library, RTLD_NOW};
use std::env;
use std::ffi::{CStr, OsStr};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Keeps the shared object of this code loaded until the process ends, and returns whether that succeeded.
pub(crate) fn keep_loaded() -> bool {
    let here = keep_loaded as fn() -> bool;
    let mut found = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: any address may be asked for, and `found` has room for the answer.
    if unsafe { libc::dladdr((here as *const ()).cast(), found.as_mut_ptr()) } == 0 {
        return false;
    }
    // SAFETY: filled in, or zero, which is a value of each field.
    let name = unsafe { found.assume_init() }.dli_fname;
    if name.is_null() {
        return false;
    }
    // SAFETY: it belongs to the loaded object, which is this one, so it is valid as long as this code runs.
    let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes()));
    // The program itself is never unloaded, and cannot be opened like this.
    if path.canonicalize().ok() == env::current_exe().ok() {
        return true;
    }
    // SAFETY: it is loaded, so this runs no code of it. To close the handle does not undo RTLD_NODELETE.
    unsafe { Library::open(Some(path), RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE) }.is_ok()
}
