//! The laboratory: `cargo xtask vm -- COMMAND` boots a Debian kernel in a virtual machine and runs COMMAND in it.
//!
//! The way of a run: the [`command_line`] says which machine is wanted; the kernel comes from Debian's package,
//! unpacked below the user's cache and never installed ([`kernel_package`]); an [`initramfs`] is written with busybox,
//! the programs and the [`libraries`] they need, the [`kernel_modules`] asked for and an [`init_script`]; QEMU boots
//! it ([`machine`]), and its serial ports bring back the command's output and status ([`boot`]). [`laboratory`]
//! puts these together.
//!
//! Nothing here changes the machine it runs on: no root is needed, no network is given to the guest, and no disk but what `--qemu` says.

pub(crate) mod command_line;
pub(crate) mod laboratory;

mod boot;
mod cpio;
mod init_script;
mod initramfs;
mod kernel_modules;
mod kernel_package;
mod libraries;
mod machine;
mod missing;
