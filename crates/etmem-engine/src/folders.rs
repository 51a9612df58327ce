//! The folders of the kinds of engines, for `cargo fmt` alone. Written by `cargo xtask generate`.

#[path = "balloon/mod.rs"]
mod balloon;

#[path = "cslide/mod.rs"]
mod cslide;

#[path = "damon/mod.rs"]
mod damon;

#[path = "ksm/mod.rs"]
mod ksm;

#[path = "memdcd/mod.rs"]
mod memdcd;

#[path = "noop/mod.rs"]
mod noop;

#[path = "psi/mod.rs"]
mod psi;

#[path = "slide/mod.rs"]
mod slide;

#[path = "thirdparty/mod.rs"]
mod thirdparty;

#[path = "tiers/mod.rs"]
mod tiers;
