//! Texts that a configuration file of etmem 1.0 may hold: see `etmem_fuzz::older`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| etmem_fuzz::older::check(bytes));
