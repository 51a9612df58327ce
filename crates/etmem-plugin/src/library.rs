//! Loading and unloading the shared object of a plugin.
//!
//! Code that a thread may still run cannot be unloaded, and the threads of a plugin may go on after stop_task. So once a
//! task was started, its library stays loaded until the daemon ends; other libraries are unloaded with the last engine that
//! uses them. The dynamic linker knows a library by its path. If the file was replaced while the old one is loaded, the linker
//! would use the old one without notice; so this is refused.

use crate::guest::fault;
use etmem_abi::{EngineOps, SCAN_LIBRARY, SCAN_LIBRARY_FOLDERS};
use etmem_config::library::{CheckedLibrary, check};
use etmem_engine::Refusal;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::{c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;

/// What `dladdr1` is asked for: the entry in the table of symbols (`RTLD_DL_SYMENT` of dlfcn.h).
const SYMBOL_ENTRY: c_int = 1;

/// The kinds of symbols that may be a structure: without a kind, and an object (elf.h).
const STRUCTURES: [u8; 2] = [0, 1];

/// A file of which a library is loaded.
#[derive(Debug)]
struct Resident {
    file: CheckedLibrary,
    /// Engines that use it.
    users: usize,
    /// Whether it stays loaded.
    stays: bool,
}

static RESIDENTS: Mutex<BTreeMap<PathBuf, Resident>> = Mutex::new(BTreeMap::new());

/// A loaded plugin.
#[derive(Debug)]
pub(crate) struct Plugin {
    pub(crate) path: PathBuf,
    pub(crate) handle: *mut c_void,
    pub(crate) operations: *mut EngineOps,
}

impl Plugin {
    /// Checks the file at `path`, loads it, and finds its `struct engine_ops` called `symbol`. Code that a library runs when
    /// it is loaded runs here.
    pub(crate) fn load(path: &Path, symbol: &str) -> Result<Self, Refusal> {
        let shown = path.display();
        let refused = |rule: String| fault(format!("[engine] libname={shown}: {rule}"));
        let file = check(path).map_err(|error| refused(error.to_string()))?;
        if RESIDENTS.lock().get(&file.path).is_some_and(|resident| resident.file != file) {
            return Err(refused(String::from(
                "was replaced by another file, and the old one is still loaded, as its tasks ran; restart etmemd, \
                 or give the new file another name",
            )));
        }
        let library = open(&file.path).map_err(|reason| refused(format!("cannot be loaded: {reason}")))?;
        // SAFETY: only the address is looked at.
        let found = unsafe { library.get::<*mut EngineOps>(symbol) };
        let operations = found.map_or(ptr::null_mut(), |found| found.into_raw().cast::<EngineOps>());
        if operations.is_null() {
            return Err(fault(format!(
                "[engine] ops_name={symbol}: {shown} exports no such symbol; see nm -D {shown}"
            )));
        }
        if let Some(wrong) = no_structure(operations) {
            return Err(fault(format!(
                "[engine] ops_name={symbol}: in {shown} it is {wrong}, and must be a struct engine_ops"
            )));
        }
        let path = file.path.clone();
        RESIDENTS.lock().entry(path.clone()).or_insert(Resident { file, users: 0, stays: false }).users += 1;
        Ok(Self { path, handle: library.into_raw(), operations })
    }

    /// Keeps it loaded from now on: a thread may run its code.
    pub(crate) fn stays(&self) {
        if let Some(resident) = RESIDENTS.lock().get_mut(&self.path) {
            resident.stays = true;
        }
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let mut residents = RESIDENTS.lock();
        let Some(resident) = residents.get_mut(&self.path) else { return };
        resident.users = resident.users.saturating_sub(1);
        if resident.stays {
            return;
        }
        if resident.users == 0 {
            residents.remove(&self.path);
        }
        drop(residents);
        // SAFETY: loaded above, and nothing of it was ever started; nothing uses the handle or the operations again.
        drop(unsafe { Library::from_raw(self.handle) });
    }
}

/// Loads `path`. If it needs the scan library and the dynamic linker finds none, the scan library beside the daemon is loaded
/// first: the linker then uses that.
fn open(path: &Path) -> Result<Library, String> {
    let load = |path: &Path| {
        // SAFETY: nothing can be promised: a plugin runs any code. Root owns the file and named it. The scan library beside the
        // daemon's program runs no code when it is loaded.
        unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
            .map_err(|error| error.source().map_or_else(|| error.to_string(), ToString::to_string))
    };
    let reason = match load(path) {
        Err(reason) if reason.starts_with(SCAN_LIBRARY) => reason,
        loaded => return loaded,
    };
    let program = std::env::current_exe().unwrap_or_default();
    let folder = program.parent().unwrap_or(Path::new("/"));
    let places = SCAN_LIBRARY_FOLDERS.iter().map(|place| folder.join(place).join(SCAN_LIBRARY));
    match places.filter(|place| place.is_file()).find_map(|place| load(&place).ok()) {
        Some(scan_library) => {
            // It stays loaded, as all plugins share its state.
            let _ = scan_library.into_raw();
            load(path)
        }
        None => Err(reason),
    }
}

/// Why the symbol at `operations` cannot be a `struct engine_ops`, as far as the library says what it is.
fn no_structure(operations: *mut EngineOps) -> Option<String> {
    let mut place = libc::Dl_info {
        dli_fname: ptr::null(),
        dli_fbase: ptr::null_mut(),
        dli_sname: ptr::null(),
        dli_saddr: ptr::null_mut(),
    };
    let mut entry: *mut libc::Elf64_Sym = ptr::null_mut();
    // SAFETY: both places are valid, and the flag asks for what the second one holds.
    let found =
        unsafe { libc::dladdr1(operations.cast(), &raw mut place, (&raw mut entry).cast(), SYMBOL_ENTRY) };
    if found == 0 || place.dli_saddr != operations.cast() {
        return None;
    }
    // SAFETY: null, or in the table of symbols of a loaded library.
    let entry = unsafe { entry.as_ref() }?;
    let needed = size_of::<EngineOps>();
    if !STRUCTURES.contains(&(entry.st_info & 0xf)) {
        return Some(String::from("no variable"));
    }
    let size = usize::try_from(entry.st_size).unwrap_or(usize::MAX);
    if size != 0 && size < needed {
        return Some(format!("{size} bytes, not {needed}"));
    }
    (!operations.is_aligned()).then(|| String::from("at an odd address"))
}
