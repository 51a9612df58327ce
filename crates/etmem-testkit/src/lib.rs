//! What etmem's tests stand on. Never a dependency of what is shipped.

pub mod fake;
