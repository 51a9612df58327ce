//! What a balloon needs of a monitor: the guest's size, what its driver reports, and the request for another size.

use super::client::Client;
use etmem_core::kernel::balloon::{Balloon, BalloonError, GuestState, Reported};
use etmem_core::kernel::process::Pid;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tracing::{debug, info};

/// Where devices are: those that were given an id, and the others.
const FOLDERS: [&str; 2] = ["/machine/peripheral", "/machine/peripheral-anon"];

/// How the type of a balloon begins there (`-pci`, `-device` and `-ccw` follow).
const TYPE: &str = "child<virtio-balloon";

/// Its properties: how often its driver reports, in seconds (0: not at all), and what it reported last.
const INTERVAL: &str = "guest-stats-polling-interval";
const STATISTICS: &str = "guest-stats";

/// States of a migration in which the guest is on its way.
const MIGRATING: [&str; 6] =
    ["setup", "active", "postcopy-active", "pre-switchover", "device", "wait-unplug"];

/// The balloon of a guest.
#[derive(Debug)]
struct Guest {
    client: Client,
    /// Its device.
    device: String,
    /// How often its driver reported before.
    before: u64,
}

/// Connects to the monitor at `socket`, and has the guest's driver report at `interval`.
///
/// # Errors
/// Why that is of no use.
pub fn connect(socket: &Path, interval: Duration) -> Result<Box<dyn Balloon>, BalloonError> {
    let mut client = Client::connect(socket)?;
    let device = device(&mut client, socket)?;
    let before = client.execute("qom-get", json!({ "path": device, "property": INTERVAL }))?;
    let before = before.as_u64().unwrap_or(0);
    let mut guest = Guest { client, device, before };
    guest.report_every(interval.as_secs().max(1))?;
    Ok(Box::new(guest))
}

/// Gives the guest at `socket` back what it had: `bytes`, unless it has more by now. For what a daemon that was killed has taken; whether
/// nothing is left to do.
pub fn give_back(socket: &Path, bytes: u64) -> bool {
    let given = Client::connect(socket).and_then(|mut client| {
        let now = number(&client.execute("query-balloon", Value::Null)?, "actual");
        if now.is_some_and(|now| now < bytes) {
            client.execute("balloon", json!({ "value": bytes }))?;
        }
        Ok(now)
    });
    let socket = socket.display();
    match given {
        Ok(now) if now.is_some_and(|now| now < bytes) => {
            info!(
                "{socket}: an etmem that was killed had taken memory of this guest: given back, {} MiB",
                bytes >> 20
            );
            true
        }
        Ok(_) => true,
        Err(BalloonError::Absent { .. } | BalloonError::NoDevice(_)) => true,
        Err(error) => {
            tracing::warn!(
                "an etmem that was killed had taken memory of a guest, which cannot be given back now: {error}"
            );
            false
        }
    }
}

/// Where the balloon is.
fn device(client: &mut Client, socket: &Path) -> Result<String, BalloonError> {
    for folder in FOLDERS {
        let listed = client.execute("qom-list", json!({ "path": folder }))?;
        let is_balloon = |entry: &&Value| entry["type"].as_str().is_some_and(|kind| kind.starts_with(TYPE));
        let found = listed.as_array().and_then(|entries| entries.iter().find(is_balloon));
        if let Some(name) = found.and_then(|entry| entry["name"].as_str()) {
            return Ok(format!("{folder}/{name}"));
        }
    }
    Err(BalloonError::NoDevice(socket.to_owned()))
}

/// The number called `name`; all ones mean that it is not known.
fn number(of: &Value, name: &str) -> Option<u64> {
    of[name].as_u64().filter(|number| *number != u64::MAX)
}

impl Guest {
    fn report_every(&mut self, seconds: u64) -> Result<(), BalloonError> {
        let arguments = json!({ "path": self.device, "property": INTERVAL, "value": seconds });
        self.client.execute("qom-set", arguments).map(drop)
    }

    /// Why the guest is to be left alone.
    fn halted(&mut self) -> Result<Option<String>, BalloonError> {
        let status = self.client.execute("query-status", Value::Null)?;
        if status["running"] != true {
            return Ok(Some(format!(
                "the guest does not run ({})",
                status["status"].as_str().unwrap_or("unknown")
            )));
        }
        let migration = self.client.execute("query-migrate", Value::Null)?;
        let is_on_its_way = migration["status"].as_str().is_some_and(|status| MIGRATING.contains(&status));
        Ok(is_on_its_way.then(|| "the guest migrates to another host".to_owned()))
    }
}

impl Balloon for Guest {
    fn listener(&self) -> Option<Pid> {
        self.client.listener()
    }

    fn state(&mut self) -> Result<GuestState, BalloonError> {
        let halted = self.halted()?;
        let balloon = self.client.execute("query-balloon", Value::Null)?;
        let actual =
            number(&balloon, "actual").ok_or_else(|| self.client.garbled("query-balloon without actual"))?;
        let memory = self.client.execute("query-memory-size-summary", Value::Null)?;
        let size = number(&memory, "base-memory")
            .unwrap_or(actual)
            .saturating_add(number(&memory, "plugged-memory").unwrap_or(0));
        let statistics =
            self.client.execute("qom-get", json!({ "path": self.device, "property": STATISTICS }))?;
        Ok(GuestState { size: size.max(actual), actual, halted, reported: reported(&statistics) })
    }

    fn set(&mut self, bytes: u64) -> Result<(), BalloonError> {
        self.client.execute("balloon", json!({ "value": bytes.max(1) })).map(drop)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let before = self.before;
        if let Err(error) = self.report_every(before) {
            debug!("the guest goes on reporting: {error}");
        }
    }
}

/// What `statistics`, the property, says; nothing before the driver has reported what is available.
fn reported(statistics: &Value) -> Option<Reported> {
    let at = number(statistics, "last-update").filter(|at| *at > 0)?;
    let of = &statistics["stats"];
    Some(Reported {
        at,
        available: number(of, "stat-available-memory")?,
        major_faults: number(of, "stat-major-faults"),
        swapped_in: number(of, "stat-swap-in"),
    })
}
