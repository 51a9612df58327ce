//! The host over a guest that waits and refuses on demand.

use super::*;
use etmem_linux::pacer::SystemPacer;
use std::io::{PipeWriter, Write};
use std::os::fd::OwnedFd;
use std::sync::Mutex;

const SOON: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(60);

/// The calls that a guest got, and where it waits: in calls that begin with this text, until the gate opens.
#[derive(Debug, Default)]
struct Story {
    told: Mutex<Vec<String>>,
    waits_at: Mutex<Option<&'static str>>,
    refuses: Mutex<Option<&'static str>>,
    gate: std::sync::Condvar,
}

impl Story {
    fn tell(&self, what: &str) -> Result<(), Refusal> {
        self.told.lock().unwrap().push(what.to_owned());
        let waits = |at: &mut Option<&str>| at.is_some_and(|start| what.starts_with(start));
        drop(self.gate.wait_while(self.waits_at.lock().unwrap(), waits).unwrap());
        match *self.refuses.lock().unwrap() {
            Some(start) if what.starts_with(start) => Err(fault(format!("no {what}"))),
            Some(_) | None => Ok(()),
        }
    }

    fn wait_at(&self, what: Option<&'static str>) {
        *self.waits_at.lock().unwrap() = what;
        self.gate.notify_all();
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

struct Told {
    story: Arc<Story>,
    call: Arc<CurrentCall>,
}

impl Told {
    fn tell(&self, what: &str) -> Result<(), Refusal> {
        self.call.during("told", || self.story.tell(what))
    }
}

impl Guest for Told {
    fn project_runs(&mut self, runs: bool) {
        let _ = self.tell(&format!("runs {runs}"));
    }

    fn add_task(&mut self, task: &TaskTerms) -> Result<(), Refusal> {
        self.tell(&format!("add {}", task.name))
    }

    fn remove_task(&mut self, task: &str) {
        let _ = self.tell(&format!("remove {task}"));
    }

    fn start_task(&mut self, task: &str, processes: &[u32]) -> Result<(), Refusal> {
        self.tell(&format!("start {task} {processes:?}"))
    }

    fn stop_task(&mut self, task: &str) {
        let _ = self.tell(&format!("stop {task}"));
    }

    fn answer(&mut self, task: Option<&str>, command: &str, out: OwnedFd) -> Result<(), Refusal> {
        let mut out = PipeWriter::from(out);
        let _ = match command {
            "much" => out.write_all(&vec![b'x'; 5 << 20]),
            "end" => out.write_all(b"a\xff"),
            _ => write!(out, "{command} of {}", task.unwrap_or("none")),
        };
        self.tell(&format!("answer {command}"))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.tell("drop");
    }
}

fn terms() -> EngineTerms {
    let text = "[project]\nname=p\nloop=1\ninterval=1\nsleep=1\n[engine]\nproject=p\nname=thirdparty\n\
                eng_name=mine\nlibname=/lib/mine.so\nops_name=ops\n";
    let file = etmem_config::parse(std::path::Path::new("f"), text, &etmem_engine::keys()).unwrap();
    EngineTerms::new(&file.projects[0], &file.engines[0]).unwrap()
}

fn open(story: &Arc<Story>, limit: Duration) -> Result<Host, Refusal> {
    let story = Arc::clone(story);
    Host::open(terms(), Arc::new(SystemPacer::new()), limit, move |_, call| {
        let guest = Told { story, call: Arc::clone(call) };
        guest.tell("open").map(|()| guest)
    })
}

fn section(name: &str) -> TaskSection {
    let text = format!("[task]\nproject=p\nengine=mine\nname={name}\ntype=pid\nvalue=1\n");
    etmem_config::parse(std::path::Path::new("f"), &text, &etmem_engine::keys()).unwrap().tasks.remove(0)
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

#[test]
fn requests_are_carried_out_in_order_until_close() {
    let story = Arc::<Story>::default();
    let host = open(&story, LONG).unwrap();
    host.add_task(&section("t"), LONG).unwrap();
    host.start_task(&name("t"), &[], LONG).unwrap();
    host.project_runs(true);
    assert_eq!(host.question(Some(&name("t")), "tell")(), Ok("tell of t".to_owned()));
    assert_eq!(host.question(None, "tell")(), Ok("tell of none".to_owned()));
    host.stop_task(&name("t"));
    host.remove_task(&name("t"));
    host.close();
    assert_eq!(host.settle(LONG), None);
    let want =
        ["open", "add t", "start t []", "runs true", "answer tell", "answer tell", "stop t", "remove t"];
    assert_eq!(story.take(), [&want[..], &["drop"]].concat());
    assert_eq!(
        host.add_task(&section("u"), LONG).unwrap_err().reason,
        "engine mine: is removed; add it again"
    );
    assert!(host.question(None, "tell")().unwrap_err().reason.contains("is removed"));
}

#[test]
fn refusals_name_the_engine() {
    let story = Arc::<Story>::default();
    *story.refuses.lock().unwrap() = Some("open");
    assert_eq!(open(&story, LONG).unwrap_err().reason, "engine mine: no open");
    *story.refuses.lock().unwrap() = Some("answer");
    let host = open(&story, LONG).unwrap();
    let refusal = host.question(None, "tell")().unwrap_err();
    assert_eq!(refusal.reason, "engine mine: no answer tell; it wrote: tell of none");
}

#[test]
fn answers_that_are_too_long_or_hold_an_end_byte_are_refused() {
    let host = open(&Arc::default(), LONG).unwrap();
    let reason = |command| host.question(None, command)().unwrap_err().reason;
    assert!(reason("much").contains("more than 1048576 bytes"));
    assert!(reason("end").contains("the byte 0xff (at 1)"));
    assert_eq!(host.question(None, "tell")(), Ok("tell of none".to_owned()));
}

/// Waits until `story` holds `what`.
fn until(story: &Story, what: &str) {
    let clock = SystemPacer::new();
    while !story.told.lock().unwrap().iter().any(|told| told == what) {
        assert!(clock.now() < LONG, "{:?}", story.told);
        let _ = clock.pause(Duration::from_millis(1));
    }
}

/// Waits until requests are accepted again.
fn settled(host: &Host) {
    let clock = SystemPacer::new();
    while host.settle(LONG).is_some() {
        assert!(clock.now() < LONG, "still given up");
        let _ = clock.pause(Duration::from_millis(1));
    }
}

#[test]
fn late_calls_are_refused_with_a_reason_and_undone() {
    let story = Arc::<Story>::default();
    let host = open(&story, LONG).unwrap();
    host.add_task(&section("t"), LONG).unwrap();
    story.wait_at(Some("start"));
    let refusal = host.start_task(&name("t"), &[], SOON).unwrap_err();
    assert!(refusal.reason.starts_with("engine mine: /lib/mine.so has not returned from told;"), "{refusal}");
    // Later requests do not wait, and what is refused is not begun later.
    assert!(host.add_task(&section("u"), LONG).is_err());
    assert!(host.question(None, "tell")().is_err());
    assert!(host.settle(LONG).unwrap().ends_with("the request is carried out once it does"));
    story.wait_at(None);
    until(&story, "stop t");
    settled(&host);
    assert_eq!(story.take(), ["open", "add t", "start t []", "stop t"]);
    host.start_task(&name("t"), &[], LONG).unwrap();

    story.wait_at(Some("add"));
    assert!(host.add_task(&section("u"), SOON).is_err());
    host.stop_task(&name("t"));
    story.wait_at(None);
    until(&story, "stop t");
    assert_eq!(story.take(), ["start t []", "add u", "remove u", "stop t"]);
}

#[test]
fn requests_not_begun_in_time_are_not_begun() {
    let story = Arc::<Story>::default();
    let host = open(&story, LONG).unwrap();
    story.wait_at(Some("stop"));
    host.stop_task(&name("t"));
    until(&story, "stop t");
    assert!(host.settle(SOON).is_some());
    assert!(host.start_task(&name("t"), &[], SOON).is_err());
    story.wait_at(None);
    settled(&host);
    host.close();
    drop(host);
    until(&story, "drop");
    assert_eq!(story.take(), ["open", "stop t", "drop"]);
}

#[test]
fn plugin_that_loads_too_late_is_dropped() {
    let story = Arc::<Story>::default();
    story.wait_at(Some("open"));
    assert!(open(&story, SOON).is_err());
    story.wait_at(None);
    until(&story, "drop");
    assert_eq!(story.take(), ["open", "drop"]);
}
