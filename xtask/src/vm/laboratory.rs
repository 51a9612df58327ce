//! One run of the laboratory, from the request to the exit status.

use super::boot::{self, Ending};
use super::command_line::Request;
use super::initramfs::{self, Contents};
use super::machine::Files;
use super::missing::Missing;
use super::{kernel_modules, kernel_package};
use anyhow::Context;
use std::process::ExitCode;

/// Most boots of one run. A kernel changes its own code while it boots, on one processor while another runs it; on a
/// loaded host QEMU's emulation does not always get that right, and the kernel panics over a breakpoint of its own
/// before any program has run. A panic after that is never tried again.
const BOOTS: u32 = 3;
/// Something must be installed first; automake's word for a test that is skipped.
const MISSING: u8 = 77;
/// As timeout(1) has it.
const DEADLINE: u8 = 124;
/// As env(1) and timeout(1) have it for their own failures.
const FAILED: u8 = 125;

/// Does what `request` asks for; reports failures on standard error, and by statuses of their own.
pub(crate) fn run(request: Request) -> ExitCode {
    let (story, status) = match boot_and_run(request) {
        Ok(Ending::Status(status)) => return status.into(),
        Ok(Ending::Deadline(story)) => (story, DEADLINE),
        Ok(Ending::BootPanic(story) | Ending::Lost(story)) => (story, FAILED),
        Err(error) if error.is::<Missing>() => (format!("{error:#}"), MISSING),
        Err(error) => (format!("{error:#}"), FAILED),
    };
    eprintln!("vm: {}", story.trim_end());
    status.into()
}

fn boot_and_run(request: Request) -> anyhow::Result<Ending> {
    boot::check_installed()?;
    let kernel = kernel_package::at_hand(request.kernel)?;
    let modules = kernel_modules::with_needs(&kernel.modules, &request.modules)?;
    let is_rehearsal = request.command.is_empty();
    let initramfs = initramfs::write(&Contents { modules, files: request.files, command: request.command })?;
    if is_rehearsal {
        return Ok(Ending::Status(0));
    }

    let folder = tempfile::tempdir().context("make a folder for the machine's files")?;
    let file = |name: &str| folder.path().join(name);
    let (archive, console, report) = (file("initramfs"), file("console"), file("report"));
    std::fs::write(&archive, initramfs).with_context(|| format!("write {}", archive.display()))?;
    let files = Files { image: &kernel.image, initramfs: &archive, console: &console, report: &report };
    let mut arguments = request.machine.arguments(files)?;
    arguments.extend(request.qemu.iter().map(Into::into));
    let boot = || boot::run(&arguments, request.deadline, &console, &report, &file("complaints"));
    let mut ending = boot()?;
    for again in 2..=BOOTS {
        let Ending::BootPanic(story) = &ending else { break };
        eprintln!("vm: {}\nvm: booting again, {again} of {BOOTS}", story.trim_end());
        ending = boot()?;
    }
    Ok(ending)
}
