mod hash;
pub mod idle;
pub mod process;
pub mod runs;
pub mod script;
pub mod stream;
