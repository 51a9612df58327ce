//! Idle page tracking: `/sys/kernel/mm/page_idle/bitmap`, a bit for each frame of the machine.
//!
//! `prepare` sets the bits of the process's frames, by their numbers from `pagemap`; the kernel clears the bit of a frame that is
//! touched, by whatever tables, those of a KVM guest as well; `check` reads which are still set (`bitmap`). Exact to the page;
//! a huge page has one bit, its first frame's. Reads and writes look the same: what was touched counts as read.
//!
//! The kernel tracks no pages of the huge page pool (they are on none of its lists, `mm/page_idle.c`): these are left
//! out. A page that got another frame meanwhile, as by migration, has a bit that was not set here, and counts as touched.

mod bitmap;
mod source;
mod watch;

pub use source::Idle;
