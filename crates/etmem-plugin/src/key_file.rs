//! GLib's key file, from which plugins read their parameters. GLib is loaded when the first one is made.
//!
//! The groups are written as text, which GLib reads with its own parser: a plugin sees what it would see in etmem 1.x. The
//! symbols of GLib are then available to plugins that are not linked with it, as in etmem 1.x, which was.

use crate::guest::{Groups, fault};
use etmem_abi::{GKeyFile, GLIB};
use etmem_engine::Refusal;
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use std::error::Error;
use std::ffi::{CStr, c_char, c_int};
use std::ptr;
use std::sync::OnceLock;

/// `GError`.
#[repr(C)]
struct GError {
    domain: u32,
    code: c_int,
    message: *mut c_char,
}

/// The functions of GLib that are needed here.
#[derive(Debug)]
pub(crate) struct Glib {
    new: unsafe extern "C" fn() -> *mut GKeyFile,
    load: unsafe extern "C" fn(*mut GKeyFile, *const c_char, usize, c_int, *mut *mut GError) -> c_int,
    free: unsafe extern "C" fn(*mut GKeyFile),
    error_free: unsafe extern "C" fn(*mut GError),
}

impl Glib {
    /// The one GLib of this process, loaded if it is not yet.
    pub(crate) fn get() -> Result<&'static Self, Refusal> {
        static LOADED: OnceLock<Glib> = OnceLock::new();
        if let Some(glib) = LOADED.get() {
            return Ok(glib);
        }
        let glib = Self::load(GLIB)?;
        Ok(LOADED.get_or_init(|| glib))
    }

    /// Loads `library`, which stays loaded: GLib does not support being unloaded.
    fn load(library: &str) -> Result<Self, Refusal> {
        let missing = |error: libloading::Error| {
            let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            fault(format!(
                "plugins read their parameters with GLib, and {library} cannot be loaded ({reason}); install it \
                 (Debian: libglib2.0-0, openEuler: glib2)"
            ))
        };
        // SAFETY: what GLib runs when it is loaded has no needs of its own.
        let library = unsafe { Library::open(Some(library), RTLD_NOW | RTLD_GLOBAL) }.map_err(missing)?;
        // SAFETY: these functions have these types in every GLib 2, as long as it is loaded. It stays loaded, as the handle is
        // leaked below.
        let glib = unsafe {
            Self {
                new: *library.get("g_key_file_new").map_err(missing)?,
                load: *library.get("g_key_file_load_from_data").map_err(missing)?,
                free: *library.get("g_key_file_free").map_err(missing)?,
                error_free: *library.get("g_error_free").map_err(missing)?,
            }
        };
        let _ = library.into_raw();
        Ok(glib)
    }

    /// A key file with these groups.
    pub(crate) fn key_file(&'static self, groups: &Groups) -> Result<KeyFile, Refusal> {
        let text = text(groups);
        // SAFETY: GLib's own function.
        let file = KeyFile { glib: self, file: unsafe { (self.new)() } };
        let mut error: *mut GError = ptr::null_mut();
        // SAFETY: the file is fresh, the text as long as is said, and the place of the error empty.
        let loaded = unsafe { (self.load)(file.file, text.as_ptr().cast(), text.len(), 0, &raw mut error) };
        if loaded != 0 {
            return Ok(file);
        }
        let mut reason = String::from("without a reason");
        // SAFETY: GLib has made an error, or left the place as it was.
        if let Some(told) = unsafe { error.as_ref() } {
            // SAFETY: the message of an error is a string.
            reason = unsafe { CStr::from_ptr(told.message) }.to_string_lossy().into_owned();
            // SAFETY: ours to free, once.
            unsafe { (self.error_free)(error) };
        }
        Err(fault(format!("GLib, with which plugins read the file, refuses it: {reason}")))
    }
}

/// `groups` as a file.
fn text(groups: &Groups) -> String {
    let mut text = String::new();
    for (name, pairs) in groups {
        text.extend(["[", name, "]\n"]);
        for (key, value) in pairs {
            text.extend([key, "=", value, "\n"]);
        }
    }
    text
}

/// A key file that a plugin may read until this is dropped.
#[derive(Debug)]
pub(crate) struct KeyFile {
    glib: &'static Glib,
    pub(crate) file: *mut GKeyFile,
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        // SAFETY: made by GLib, and freed once.
        unsafe { (self.glib.free)(self.file) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_glib_is_reported_with_what_to_install() {
        let reason = Glib::load("libno-such-glib.so.9").unwrap_err().reason;
        for word in
            ["libno-such-glib.so.9: cannot open shared object file", "install it (Debian: libglib2.0-0"]
        {
            assert!(reason.contains(word), "{reason}");
        }
        let reason = Glib::load("libc.so.6").unwrap_err().reason;
        assert!(reason.contains("g_key_file_new"), "{reason}");
    }

    #[test]
    fn groups_become_text() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let groups = vec![
            ("engine".to_owned(), vec![pair("name", "thirdparty"), pair("k", "=v;")]),
            ("x y".to_owned(), vec![]),
        ];
        assert_eq!(text(&groups), "[engine]\nname=thirdparty\nk==v;\n[x y]\n");
    }
}
