//! A terminal whose screen a test can read: tmux.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};

use crate::clock::WallClock;
use crate::process::run;
use crate::stage::LIMIT;

/// A tmux of this test alone, which ends with this.
#[derive(Debug)]
pub struct Tmux(String);

impl Tmux {
    /// One of this size that runs `command`, and keeps what it leaves on the screen.
    ///
    /// # Errors
    /// tmux does not start.
    pub fn start(command: &str, width: u16, height: u16) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let tmux = Self(format!("etmem-test-{}-{number}", std::process::id()));
        let (width, height) = (width.to_string(), height.to_string());
        let kept = format!("{command}; echo ended with $?; exec cat");
        tmux.run(&["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, &kept])?;
        Ok(tmux)
    }

    /// Gives it a command of its own; what that prints.
    ///
    /// # Errors
    /// It fails.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new("tmux");
        let ran = run(
            command.args(["-L", &self.0]).args(words).env("LC_ALL", "C.UTF-8").env_remove("TMUX"),
            LIMIT,
        )?;
        ensure!(ran.status == 0, "tmux {words:?}: {ran:?}");
        Ok(ran.stdout)
    }

    /// Presses a key, by its name.
    ///
    /// # Errors
    /// tmux has ended.
    pub fn press(&self, key: &str) -> Result<()> {
        self.run(&["send-keys", key]).map(drop)
    }

    /// The lines of the screen as soon as they are as `enough` says.
    ///
    /// # Errors
    /// They are not so in time; the message has the screen.
    pub fn screen(&self, what: &str, enough: impl Fn(&[String]) -> bool) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        let waited = WallClock::new().wait_until(LIMIT, what, || {
            lines = self.run(&["capture-pane", "-p"])?.lines().map(str::to_owned).collect();
            Ok(enough(&lines))
        });
        waited.with_context(|| format!("the screen:\n{}", lines.join("\n")))?;
        Ok(lines)
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // It has ended already if its session has.
        let _ = self.run(&["kill-server"]);
    }
}
