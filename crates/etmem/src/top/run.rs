//! The loop: answers come from a thread of their own, so that keys act at once even if the daemon does not answer.

use super::ask::{Answer, answer};
use super::plain::table;
use super::rows::rows;
use super::screen::Shown;
use super::view::View;
use crate::failure::Failure;
use crate::signals::Signals;
use crate::watch::{is_absence, is_closed};
use etmem_wire::{SocketName, Status};
use nix::sys::signal::Signal;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use std::env;
use std::io::{self, ErrorKind, IsTerminal, Write, stderr, stdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// How long a key is waited for before answers are looked for.
const TURN: Duration = Duration::from_millis(50);

/// Columns of a plain table: reasons are not cut short.
const PLAIN: usize = 400;

/// The signals that end a live view from outside: the terminal is given back before they do. SIGHUP is not among them: it ends the
/// program at once, as nothing is left to give back, and crossterm reads a terminal that has hung up for ever.
const ENDS: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT];

/// What to show, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Top {
    /// This many plain tables; none: a live view.
    pub(crate) count: Option<u32>,
    /// From one answer to the next question.
    pub(crate) delay: Duration,
}

type Answers = Receiver<Result<Answer, Failure>>;

impl Top {
    /// Shows what the daemon at `socket` says.
    pub(crate) fn run(&self, socket: &SocketName, out: &mut dyn Write) -> Result<Status, Failure> {
        let first = answer(socket)?;
        if self.count.is_some() || !stdout().is_terminal() {
            return self.print(socket, first, out);
        }
        let signals = Signals::receive(&ENDS).map_err(Failure::Output)?;
        let (answers, end) = self.ask(socket).map_err(Failure::Output)?;
        // The hook that it sets gives the terminal back on a panic, too.
        let mut terminal = ratatui::try_init().map_err(Failure::Output)?;
        let shown = show(&mut terminal, &socket.to_string(), first, &answers, &signals);
        ratatui::restore();
        drop(end);
        if let Some(signal) = shown.map_err(Failure::Output)? {
            signals.act_on(signal).map_err(Failure::Output)?;
        }
        Ok(Status::Success)
    }

    /// Prints plain tables, an empty line apart.
    fn print(&self, socket: &SocketName, first: Answer, out: &mut dyn Write) -> Result<Status, Failure> {
        let mut now = Some(first);
        let mut missing = false;
        for number in 0..self.count.unwrap_or(1) {
            if number > 0 {
                if is_closed(self.delay).map_err(Failure::Output)? {
                    break;
                }
                now = match answer(socket) {
                    Ok(answer) => Some(answer),
                    Err(failure) if is_absence(&failure) => {
                        if !missing {
                            // If standard error cannot be written, it goes on.
                            let _ = writeln!(stderr(), "etmem: {failure}; asking again, Ctrl-C ends it");
                        }
                        None
                    }
                    Err(failure) => return Err(failure),
                };
            }
            missing = now.is_none();
            let Some(answer) = &now else { continue };
            let (title, lines) = table(&rows(&answer.tasks, &View::default()), PLAIN);
            let gap = if number > 0 { "\n" } else { "" };
            let written = writeln!(out, "{gap}{title}").and_then(|()| {
                lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
                out.flush()
            });
            match written {
                // The reader has closed the pipe.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
                written => written.map_err(Failure::Output)?,
            }
        }
        Ok(Status::Success)
    }

    /// Asks again and again, until what is returned second is dropped.
    fn ask(&self, socket: &SocketName) -> io::Result<(Answers, Sender<()>)> {
        let (sender, answers) = channel();
        let (end, ended) = channel::<()>();
        let (delay, socket) = (self.delay, socket.clone());
        thread::Builder::new().name("etmem-ask".to_owned()).spawn(move || {
            while ended.recv_timeout(delay) == Err(RecvTimeoutError::Timeout) {
                if sender.send(answer(&socket)).is_err() {
                    return;
                }
            }
        })?;
        Ok((answers, end))
    }
}

/// Shows `answer` and those that come, until a key ends it, or a signal, which is returned.
fn show(
    terminal: &mut DefaultTerminal,
    socket: &str,
    mut answer: Answer,
    answers: &Answers,
    signals: &Signals,
) -> io::Result<Option<Signal>> {
    let colours = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (mut view, mut cpu, mut trouble) = (View::default(), None, None);
    let mut is_news = true;
    loop {
        let shown = Shown { socket, answer: &answer, cpu, trouble: trouble.as_deref(), view: &view, colours };
        if is_news {
            terminal.draw(|frame| shown.draw(frame))?;
            is_news = false;
        }
        if let Some(signal) = signals.next()? {
            return Ok(Some(signal));
        }
        if event::poll(TURN)? {
            is_news = true;
            if let Event::Key(key) = event::read()?
                && key.kind != KeyEventKind::Release
            {
                let rows = shown.rows().len();
                if !view.press(key, rows) {
                    return Ok(None);
                }
            }
        }
        for next in answers.try_iter() {
            // What comes meanwhile is not kept: after a pause the next answer is shown.
            if view.paused {
                continue;
            }
            is_news = true;
            match next {
                Ok(next) => {
                    cpu = share(&answer, &next).or(cpu);
                    (answer, trouble) = (next, None);
                }
                Err(failure) => trouble = Some(failure.to_string()),
            }
        }
    }
}

/// What the daemon took of a processor from one answer to the other, by the clock of a task that ran in both.
fn share(before: &Answer, now: &Answer) -> Option<f64> {
    let used = now.machine.cpu_seconds? - before.machine.cpu_seconds?;
    let passed = now.tasks.iter().find_map(|task| {
        let same = before.tasks.iter().find(|one| one.project == task.project && one.task == task.task)?;
        let passed = task.running_seconds - same.running_seconds;
        (passed > 0.0).then_some(passed)
    })?;
    (used >= 0.0).then_some(used / passed)
}
