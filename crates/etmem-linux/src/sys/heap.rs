//! Keeping the heap small.

/// Lets all threads share one heap, which keeps it small, at the price of threads that wait for each other when they allocate. For
/// a program whose threads seldom do. glibc gives each a heap of its own, and keeps in it what the thread frees:
/// after loading the page walk that is 5 MiB which no thread uses again. To be called before the first thread starts.
#[cfg(target_env = "gnu")]
pub fn share_one_heap() {
    // SAFETY: mallopt sets a number in the allocator, under its own lock.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Other allocators have no such setting.
#[cfg(not(target_env = "gnu"))]
pub fn share_one_heap() {}

/// Gives memory that was freed back to the kernel. For after a peak; it looks through the whole heap. glibc keeps what lies below the last live allocation.
#[cfg(target_env = "gnu")]
pub fn give_back_free_memory() {
    super::locked::while_unlocked(|| {
        // SAFETY: malloc_trim only walks the allocator's own lists, under its own locks.
        unsafe {
            libc::malloc_trim(0);
        }
    });
}

/// Other allocators give memory back by themselves.
#[cfg(not(target_env = "gnu"))]
pub fn give_back_free_memory() {}
