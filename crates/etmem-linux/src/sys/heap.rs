//! Giving freed memory back.

/// Gives memory that was freed back to the kernel: glibc keeps what lies below the last live allocation.
#[cfg(target_env = "gnu")]
pub(crate) fn give_back_free_memory() {
    // SAFETY: malloc_trim only walks the allocator's own lists, under its own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other allocators give memory back by themselves.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn give_back_free_memory() {}
