//! What the tests and the demo stand on; never a normal dependency of the product.
//!
//! Everything here looks at the machine with eyes of its own, not through the product's crates: a test that
//! asked `etmem-linux` whether `etmem-linux` is right would prove nothing. From below to above:
//! [`fake`] (a scripted machine, no real one), [`clock`] (waits), [`undo`] (what was set up is taken back, also on Ctrl-C), [`machine`] (what can run here),
//! [`swap`] (swap for a while), [`pagemap`] (where pages are), [`numa_maps`] (on which nodes), [`hotset`] (memory whose touched part moves), [`built`] (what cargo built), [`laboratory`] (virtual machines), [`guest`] (stories that run in them), [`workload`] (memory with a hot and a cold part),
//! [`daemon`] (the real binaries), [`original`] (etmem 1.x on the other end of the socket), [`stage`] (swap, a daemon, and waits), [`redis`] (a server that tests talk to), [`times`] (how long many things took), [`trial`] (tests that say why they did not run), [`demo`] (all of it as a story).

pub mod built;
pub mod cgroup;
pub mod clock;
pub mod daemon;
pub mod demo;
pub mod fake;
pub mod guest;
pub mod hotset;
pub mod laboratory;
pub mod machine;
pub mod nodes;
pub mod numa_maps;
pub mod original;
pub mod pagemap;
pub mod process;
pub mod qmp;
pub mod redis;
pub mod size;
pub mod stage;
pub mod swap;
pub mod times;
pub mod tmux;
pub mod trial;
pub mod undo;
pub mod workload;
