//! The file that node_exporter's textfile collector reads: written at the start, and again after each interval.
//!
//! It is replaced in one step, and removed when the daemon stops: figures of a daemon that is gone would look like those of one that
//! does nothing. A file that cannot be written is reported once, and once more when it can be again.

use crate::dispatch::Reply;
use crate::options::MetricsFile;
use crate::registry_thread::RegistryHandle;
use crate::whole_file;
use etmem_wire::{MetricsForm, Request};
use std::io::{self, Write};
use tracing::{error, info};

/// node_exporter does not run as root.
const MODE: u32 = 0o644;

impl MetricsFile {
    fn write(&self, text: &str) -> io::Result<()> {
        whole_file::replace(&self.path, MODE, |file| file.write_all(text.as_bytes()))
    }

    /// Removes it, if it is there.
    pub(crate) fn remove(&self) {
        // What cannot be removed is as old as its time of change says.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Writes `file` for as long as requests are carried out; without one it never wakes up.
pub(crate) async fn keep(file: Option<&MetricsFile>, registry: &RegistryHandle) {
    let Some(file) = file else { return std::future::pending().await };
    let mut failed = false;
    loop {
        if let Some(Reply::Response(response)) =
            registry.carry_out(Request::Metrics(MetricsForm::Prometheus)).await
        {
            // A folder of this machine takes no time that a client would notice.
            match file.write(response.text()) {
                Err(reason) if !failed => {
                    error!(
                        "cannot write metrics to {}: {reason}; its folder must be there, and be writable for etmemd",
                        file.path.display()
                    );
                    failed = true;
                }
                Err(_) => {}
                Ok(()) if failed => {
                    info!("metrics are written to {} again", file.path.display());
                    failed = false;
                }
                Ok(()) => {}
            }
        }
        tokio::time::sleep(file.every).await;
    }
}
