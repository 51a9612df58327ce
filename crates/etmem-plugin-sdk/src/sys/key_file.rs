//! GLib's key file, read with the GLib that the daemon has loaded: nothing here is linked with GLib.
#![expect(unsafe_code, reason = "functions of another library")]

use crate::refusal::Refusal;
use etmem_abi::{GKeyFile, GLIB};
use libloading::Library;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::sync::OnceLock;

type GetString =
    unsafe extern "C" fn(*mut GKeyFile, *const c_char, *const c_char, *mut *mut c_void) -> *mut c_char;
type HasKey = unsafe extern "C" fn(*mut GKeyFile, *const c_char, *const c_char, *mut *mut c_void) -> c_int;
type Free = unsafe extern "C" fn(*mut c_void);

/// The functions of GLib that are used.
#[derive(Debug)]
struct Glib {
    has_key: HasKey,
    get_string: GetString,
    free: Free,
    _library: Library,
}

fn glib() -> Result<&'static Glib, Refusal> {
    static LOADED: OnceLock<Result<Glib, String>> = OnceLock::new();
    let glib = LOADED.get_or_init(|| find().map_err(|error| format!("cannot read the key file: {error}")));
    glib.as_ref().map_err(|error| Refusal::new(error.as_str()))
}

fn find() -> Result<Glib, libloading::Error> {
    // SAFETY: GLib can be loaded at any time. The daemon, which made the key file with it, has loaded it already.
    let library = unsafe { Library::new(GLIB) }?;
    // SAFETY: the types are those of GLib's manual, gint as int and gchar as char; the library stays with them.
    unsafe {
        Ok(Glib {
            has_key: *library.get::<HasKey>(c"g_key_file_has_key")?,
            get_string: *library.get::<GetString>(c"g_key_file_get_string")?,
            free: *library.get::<Free>(c"g_free")?,
            _library: library,
        })
    }
}

/// A key file of the daemon, for the time of a call.
#[derive(Debug)]
pub(crate) struct KeyFile<'file> {
    glib: &'static Glib,
    file: *mut GKeyFile,
    lent: PhantomData<&'file GKeyFile>,
}

impl KeyFile<'_> {
    /// The key file at `file`.
    ///
    /// # Safety
    /// `file` is null, or a key file of GLib that outlives the result and that no other thread uses meanwhile.
    pub(crate) unsafe fn new(file: *mut GKeyFile) -> Result<Self, Refusal> {
        if file.is_null() {
            return Err(Refusal::new("the key file is NULL"));
        }
        Ok(Self { glib: glib()?, file, lent: PhantomData })
    }

    /// The value of `key` of `group`, if it has one.
    pub(crate) fn text(&self, group: &str, key: &str) -> Option<String> {
        let (group, key) = (CString::new(group).ok()?, CString::new(key).ok()?);
        let Glib { has_key, get_string, free, .. } = self.glib;
        // SAFETY: a key file and two strings; with NULL, GLib reports no error. So below.
        if unsafe { has_key(self.file, group.as_ptr(), key.as_ptr(), ptr::null_mut()) } == 0 {
            return None;
        }
        // SAFETY: as above.
        let value = unsafe { get_string(self.file, group.as_ptr(), key.as_ptr(), ptr::null_mut()) };
        if value.is_null() {
            return None;
        }
        // SAFETY: not null, so a string, which is ours.
        let text = unsafe { CStr::from_ptr(value) }.to_string_lossy().into_owned();
        // SAFETY: it came from GLib and is not used again.
        unsafe { free(value.cast()) };
        Some(text)
    }
}
