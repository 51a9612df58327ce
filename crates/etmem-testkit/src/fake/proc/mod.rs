pub mod faults;
mod hash;
pub mod idle;
pub mod machine;
pub mod process;
pub mod runs;
pub mod script;
pub mod stream;
pub mod swap;
