//! Counts what a task allocates through Rust's global allocator. Memory that a C library takes
//! from `malloc` itself is not seen.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::candidate::{Failure, Task};

static COUNTING: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);

/// The allocations of one run of a task that ran before, a growing `Vec` counted each time it
/// moves.
pub(crate) fn count(task: &mut Task, token: &mut String) -> Result<u64, Failure> {
    // The first run fills caches and thread-local generators; the least of some more is what a
    // token costs, for a generator reseeds itself now and then.
    task(token)?;
    let mut least = u64::MAX;
    for _ in 0..8 {
        let before = COUNT.load(Ordering::Relaxed);
        COUNTING.store(true, Ordering::Relaxed);
        let result = task(token);
        COUNTING.store(false, Ordering::Relaxed);
        result?;
        least = least.min(COUNT.load(Ordering::Relaxed) - before);
    }
    Ok(least)
}

struct CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn note() {
    // While tokens are timed this is one load that every allocation can afford.
    if COUNTING.load(Ordering::Relaxed) {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: each call goes to the system's allocator unchanged.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_allocation_of_a_run() {
        let mut task: Task = Box::new(|token| {
            *token = std::hint::black_box(String::from("one"));
            drop(std::hint::black_box(Box::new([0_u8; 64])));
            Ok(())
        });
        assert_eq!(count(&mut task, &mut String::new()).unwrap(), 2);
    }
}
