//! The functions of a policy, called as the daemon calls them, with a key file of the real GLib where there is one.

use super::*;
use crate::Stop;
use etmem_abi::TaskPid;
use libloading::Library;
use std::ffi::CString;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Engines and tasks of [`Scripted`] that are there.
static THERE: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug)]
struct There;

impl There {
    fn new() -> Self {
        THERE.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for There {
    fn drop(&mut self) {
        THERE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Does as its file says.
#[derive(Debug)]
struct Scripted {
    _there: There,
}

impl Policy for Scripted {
    type Settings = (String, There);

    fn new(engine: &Group<'_>) -> Result<Self, Refusal> {
        let there = There::new();
        match engine.needed("act")?.as_str() {
            "panic" => panic!("as planned"),
            "refuse" => Err(Refusal::new("as planned")),
            _ => Ok(Self { _there: there }),
        }
    }

    fn settings(&self, task: &Group<'_>) -> Result<Self::Settings, Refusal> {
        let there = There::new();
        let act = task.needed("act")?;
        if act == "panic" { panic!("as planned") } else { Ok((act, there)) }
    }

    fn run(&self, task: &Task<Self::Settings>, stop: &Stop) {
        assert!(task.settings.0 != "panic-later", "as planned");
        while !stop.wait(Duration::from_secs(3600)) {}
    }

    fn command(
        &self,
        task: Option<&Task<Self::Settings>>,
        command: &str,
        answer: &mut dyn fmt::Write,
    ) -> Result<(), Refusal> {
        match (command, task) {
            ("panic", _) => panic!("as planned"),
            ("show", Some(task)) => {
                Ok(write!(answer, "{} {:?} {:?} {}", task.name, task.target, task.rhythm, task.max_threads)?)
            }
            _ => Err(Refusal::new("ž: no such command")),
        }
    }
}

static OPS: EngineOps = operations::<Scripted>();

/// A key file of GLib's that holds `text`; `None` without GLib.
struct File {
    glib: Library,
    file: *mut GKeyFile,
}

impl File {
    fn new(text: &str) -> Option<Self> {
        type New = unsafe extern "C" fn() -> *mut GKeyFile;
        type Load =
            unsafe extern "C" fn(*mut GKeyFile, *const c_char, usize, c_int, *mut *mut c_char) -> c_int;
        // SAFETY: GLib, and the types of its manual.
        unsafe {
            let glib = Library::new("libglib-2.0.so.0").ok()?;
            let file = glib.get::<New>("g_key_file_new").unwrap()();
            let load = glib.get::<Load>("g_key_file_load_from_data").unwrap();
            assert_eq!(load(file, text.as_ptr().cast(), text.len(), 0, ptr::null_mut()), 1);
            Some(Self { glib, file })
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        type Free = unsafe extern "C" fn(*mut GKeyFile);
        // SAFETY: made above and not used again.
        unsafe { self.glib.get::<Free>("g_key_file_free").unwrap()(self.file) }
    }
}

fn engine(project: *mut Project) -> Engine {
    Engine {
        engine_type: 7,
        name: ptr::null_mut(),
        params: ptr::null_mut(),
        proj: project,
        page_ref: ptr::null_mut(),
        ops: ptr::null_mut(),
        tasks: ptr::null_mut(),
        page_cnt: 0,
        next: ptr::null_mut(),
        handler: ptr::null_mut(),
    }
}

fn task(engine: *mut Engine, texts: &[CString; 3]) -> abi::Task {
    let [kind, value, name] = texts.each_ref().map(|text| text.as_ptr().cast_mut());
    abi::Task {
        kind,
        value,
        name,
        max_threads: 0,
        swap_flag: 0,
        pids: ptr::null_mut::<TaskPid>(),
        eng: engine,
        params: ptr::null_mut(),
        task_pt: 0,
        timer_inst: ptr::null_mut(),
        threadpool_inst: ptr::null_mut(),
        next: ptr::null_mut(),
    }
}

fn ask(engine: *mut Engine, task: *mut abi::Task, command: &str) -> (c_int, String) {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let command = CString::new(command).unwrap().into_raw();
    // SAFETY: as the daemon does.
    let status = unsafe { OPS.eng_mgt_func.unwrap()(engine, task, command, writer.as_raw_fd()) };
    // SAFETY: from `into_raw`.
    drop(unsafe { CString::from_raw(command) });
    // Still open, and ours to close.
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    (status, text)
}

#[test]
fn an_engine_from_its_beginning_to_its_end() {
    let Some(file) = File::new("[engine]\nact=work\n[task]\nact=work\n") else {
        eprintln!("skipped: there is no libglib-2.0.so.0 here: install libglib2.0-0");
        return;
    };
    let mut scan = PageScan { interval: 1, loops: 3, sleep: 10 };
    let mut project = Project {
        name: ptr::null_mut(),
        kind: PAGE_SCAN,
        scan_param: (&raw mut scan).cast(),
        sysmem_threshold: -1,
        swapcache_high_wmark: -1,
        swapcache_low_wmark: -1,
        start: false,
        wmark_set: false,
        engs: ptr::null_mut(),
        entry: ptr::null_mut(),
    };
    let ops = &OPS;
    let mut engine = engine(&raw mut project);
    let engine = &raw mut engine;
    let texts = ["name", "mysqld", "t"].map(|text| CString::new(text).unwrap());
    let mut task = task(engine, &texts);
    let task = &raw mut task;
    // SAFETY: as the daemon does, in its order, and out of it.
    unsafe {
        // Before anything was filled, and with nothing at all.
        assert_eq!(ops.start_task.unwrap()(engine, task), -1);
        ops.stop_task.unwrap()(engine, task);
        ops.clear_task_params.unwrap()(task);
        ops.clear_eng_params.unwrap()(engine);
        assert_eq!(ops.fill_task_params.unwrap()(file.file, task), -1);
        assert_eq!(ops.fill_eng_params.unwrap()(ptr::null_mut(), engine), -1);
        assert_eq!(ops.fill_eng_params.unwrap()(file.file, ptr::null_mut()), -1);
        assert_eq!(ops.fill_task_params.unwrap()(file.file, ptr::null_mut()), -1);
        // What is refused, or panics, leaves nothing.
        for text in ["[engine]\n[task]\n", "[engine]\nact=refuse\n", "[engine]\nact=panic\n"] {
            let file = File::new(text).unwrap();
            assert_eq!(ops.fill_eng_params.unwrap()(file.file, engine), -1, "{text}");
            assert!((*engine).params.is_null());
        }
        assert_eq!(ops.fill_eng_params.unwrap()(file.file, engine), 0);
        let panics = File::new("[task]\nact=panic\n").unwrap();
        assert_eq!(ops.fill_task_params.unwrap()(panics.file, task), -1);
        assert!((*task).params.is_null());
        assert_eq!(THERE.load(Ordering::SeqCst), 1);
        assert_eq!(ops.fill_task_params.unwrap()(file.file, task), 0);
        for _ in 0..3 {
            assert_eq!(ops.start_task.unwrap()(engine, task), 0);
            // What runs is not started, and goes on.
            assert_eq!(ops.start_task.unwrap()(engine, task), -1);
            ops.stop_task.unwrap()(engine, task);
            ops.stop_task.unwrap()(engine, task);
        }
        assert_eq!(ops.start_task.unwrap()(engine, task), 0);
    }
    let (status, text) = ask(engine, task, "show");
    let want = "t Name(\"mysqld\") Some(Rhythm { looks: 3, interval: 1s, sleep: 10s }) 1";
    assert_eq!((status, text.as_str()), (0, want));
    assert_eq!(ask(engine, ptr::null_mut(), "show"), (-1, "ž: no such command".into()));
    assert_eq!(ask(engine, task, "panic").0, -1);
    // SAFETY: as above. A task that was not stopped is stopped when it is cleared.
    unsafe {
        ops.clear_task_params.unwrap()(task);
        ops.clear_eng_params.unwrap()(engine);
        assert!((*task).params.is_null() && (*engine).params.is_null());
        let later = File::new("[engine]\nact=work\n[task]\nact=panic-later\n").unwrap();
        assert_eq!(ops.fill_eng_params.unwrap()(later.file, engine), 0);
        assert_eq!(ops.fill_task_params.unwrap()(later.file, task), 0);
        assert_eq!(ops.start_task.unwrap()(engine, task), 0);
        ops.stop_task.unwrap()(engine, task);
        ops.clear_task_params.unwrap()(task);
        ops.clear_eng_params.unwrap()(engine);
    }
    assert_eq!(THERE.load(Ordering::SeqCst), 0);
}
