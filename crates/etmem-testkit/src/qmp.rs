//! A monitor of QEMU that answers by a script: well, slowly, rudely, or not at all.
//!
//! It speaks with one client at a time, as QEMU does: another that connects waits for its greeting.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use etmem_core::kernel::pacer::{Pace, Pacer};
use serde_json::{Value, json};

use crate::clock::WallClock;

/// Bytes that a guest needs.
const NEEDED: u64 = 100 << 20;

/// How it behaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Manner {
    /// As QEMU.
    #[default]
    Good,
    /// It rests before each answer.
    Slow(Duration),
    /// It accepts and says nothing.
    Silent,
    /// It greets and answers nothing.
    Deaf,
    /// It closes in the middle of the answer to this command.
    ClosesAt(&'static str),
    /// It says what is no JSON.
    Garbage,
    /// It says JSON that is not of the protocol.
    OtherJson,
    /// A line that never ends.
    Endless,
    /// Events, and an answer to another request, come before each answer.
    Events,
}

/// The guest behind it.
#[derive(Debug, Clone)]
pub struct ScriptedGuest {
    /// How its monitor behaves.
    pub manner: Manner,
    /// Bytes that it was started with.
    pub size: u64,
    /// Bytes that are left to it.
    pub actual: u64,
    /// Whether it has a balloon, and a driver for it that does what it is asked.
    pub device: bool,
    /// See there.
    pub driver: bool,
    /// What is available; all ones if it does not report that.
    pub available: u64,
    /// When it reported last; 0: never.
    pub last_update: u64,
    /// Whether it runs, and the state of a migration.
    pub status: &'static str,
    /// See there.
    pub migration: Option<&'static str>,
    /// How often it reports.
    pub interval: u64,
    /// Each command with its arguments.
    pub commands: Vec<(String, Value)>,
}

impl Default for ScriptedGuest {
    fn default() -> Self {
        Self {
            manner: Manner::Good,
            size: 512 << 20,
            actual: 512 << 20,
            device: true,
            driver: true,
            available: 300 << 20,
            last_update: 1,
            status: "running",
            migration: None,
            interval: 0,
            commands: Vec::new(),
        }
    }
}

/// The monitor. It listens until this is dropped.
#[derive(Debug)]
pub struct ScriptedMonitor {
    guest: Arc<Mutex<ScriptedGuest>>,
    ends: Arc<WallClock>,
}

impl ScriptedMonitor {
    /// One that listens at `socket`.
    ///
    /// # Errors
    /// It cannot.
    pub fn start(socket: &Path, guest: ScriptedGuest) -> Result<Self> {
        let listener = UnixListener::bind(socket)?;
        let (guest, ends) = (Arc::new(Mutex::new(guest)), Arc::new(WallClock::new()));
        let (shared, clock) = (Arc::clone(&guest), Arc::clone(&ends));
        listener.set_nonblocking(true)?;
        thread::spawn(move || {
            while clock.pace() == Pace::Continue {
                if let Ok((stream, _)) = listener.accept() {
                    // What the other side does with its end is its affair.
                    let _ = serve(&stream, &shared, &clock);
                }
                let _ = clock.pause(Duration::from_millis(2));
            }
        });
        Ok(Self { guest, ends })
    }

    /// The guest as it is now.
    pub fn guest(&self) -> ScriptedGuest {
        lock(&self.guest).clone()
    }

    /// Changes it.
    pub fn change(&self, change: impl FnOnce(&mut ScriptedGuest)) {
        change(&mut lock(&self.guest));
    }
}

impl Drop for ScriptedMonitor {
    fn drop(&mut self) {
        self.ends.stop();
    }
}

/// A guest whose driver reports again and again, and needs 100 MiB of what is left to it.
#[derive(Debug)]
pub struct ReportingGuest {
    monitor: Arc<ScriptedMonitor>,
    ends: Arc<WallClock>,
}

impl ReportingGuest {
    /// One whose monitor listens at `socket`.
    ///
    /// # Errors
    /// It cannot.
    pub fn start(socket: &Path, guest: ScriptedGuest) -> Result<Self> {
        let monitor = Arc::new(ScriptedMonitor::start(socket, guest)?);
        let ends = Arc::new(WallClock::new());
        let (shared, clock) = (Arc::clone(&monitor), Arc::clone(&ends));
        thread::spawn(move || {
            while clock.pause(Duration::from_millis(200)) == Pace::Continue {
                shared.change(|guest| {
                    guest.last_update += 1;
                    guest.available = guest.actual.saturating_sub(NEEDED);
                });
            }
        });
        Ok(Self { monitor, ends })
    }

    /// The guest as it is now.
    pub fn guest(&self) -> ScriptedGuest {
        self.monitor.guest()
    }
}

impl Drop for ReportingGuest {
    fn drop(&mut self) {
        self.ends.stop();
    }
}

fn lock(guest: &Mutex<ScriptedGuest>) -> MutexGuard<'_, ScriptedGuest> {
    guest.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Speaks with one client until it closes.
fn serve(mut stream: &UnixStream, guest: &Mutex<ScriptedGuest>, clock: &WallClock) -> Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let manner = lock(guest).manner;
    match manner {
        Manner::Silent => return wait_for_end(stream),
        Manner::Garbage => {
            stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n")?;
            return wait_for_end(stream);
        }
        Manner::OtherJson => {
            stream.write_all(b"{\"hello\": 1}\r\n")?;
            return wait_for_end(stream);
        }
        Manner::Endless => {
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
            return Ok(());
        }
        Manner::Good | Manner::Slow(_) | Manner::Deaf | Manner::ClosesAt(_) | Manner::Events => {}
    }
    stream.write_all(
        b"{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7}}, \"capabilities\": [\"oob\"]}}\r\n",
    )?;
    for line in BufReader::new(stream).lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let manner = lock(guest).manner;
        if let Manner::Slow(rest) = manner {
            let _ = clock.pause(rest);
        }
        if manner == Manner::Deaf {
            continue;
        }
        let answer = lock(guest).answer(&request);
        if manner == Manner::Events {
            let event =
                json!({ "event": "BALLOON_CHANGE", "data": { "actual": 1 }, "timestamp": { "seconds": 1 } });
            let late = json!({ "return": {}, "id": 0 });
            stream.write_all(format!("{event}\r\n{late}\r\n{event}\r\n").as_bytes())?;
        }
        if matches!(manner, Manner::ClosesAt(command) if request["execute"] == command) {
            let text = answer.to_string();
            stream.write_all(&text.as_bytes()[..text.len() / 2])?;
            return Ok(());
        }
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}

fn wait_for_end(stream: &UnixStream) -> Result<()> {
    for line in BufReader::new(stream).lines() {
        line?;
    }
    Ok(())
}

impl ScriptedGuest {
    fn answer(&mut self, request: &Value) -> Value {
        let command = request["execute"].as_str().unwrap_or_default().to_owned();
        let arguments = &request["arguments"];
        self.commands.push((command.clone(), arguments.clone()));
        let answer = match &*command {
            "qmp_capabilities" => Ok(json!({})),
            "query-status" => Ok(json!({ "status": self.status, "running": self.status == "running" })),
            "query-migrate" => Ok(self.migration.map_or(json!({}), |status| json!({ "status": status }))),
            "query-balloon" if self.device => Ok(json!({ "actual": self.actual })),
            "balloon" if self.device => {
                if self.driver {
                    self.actual = arguments["value"].as_u64().unwrap_or(0).min(self.size);
                }
                Ok(json!({}))
            }
            "query-balloon" | "balloon" => Err(("DeviceNotActive", "No balloon device has been activated")),
            "query-memory-size-summary" => Ok(json!({ "base-memory": self.size, "plugged-memory": 0 })),
            "qom-list" if arguments["path"] == "/machine/peripheral-anon" => Ok(json!([])),
            "qom-list" => {
                let balloon = json!({ "name": "balloon0", "type": "child<virtio-balloon-pci>" });
                let others = [json!({ "name": "type", "type": "string" })];
                Ok(others.into_iter().chain(self.device.then_some(balloon)).collect())
            }
            "qom-set" => {
                self.interval = arguments["value"].as_u64().unwrap_or(0);
                Ok(json!({}))
            }
            "qom-get" if arguments["property"] == "guest-stats-polling-interval" => Ok(json!(self.interval)),
            "qom-get" => Ok(json!({
                "stats": {
                    "stat-available-memory": self.available,
                    "stat-major-faults": 7,
                    "stat-swap-in": u64::MAX,
                    "stat-oom-kills": 1,
                },
                "last-update": self.last_update,
            })),
            _ => Err(("CommandNotFound", "The command has not been found")),
        };
        match answer {
            Ok(answer) => json!({ "return": answer, "id": request["id"] }),
            Err((class, desc)) => json!({ "error": { "class": class, "desc": desc }, "id": request["id"] }),
        }
    }
}
