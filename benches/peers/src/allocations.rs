//! Counts what a task allocates through Rust's global allocator. Memory that a C library takes
//! from `malloc` itself is not seen.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use crate::candidate::{Failure, Task};

thread_local! {
    static COUNTING: Cell<bool> = const { Cell::new(false) };
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// The allocations of one run of a task that ran before, a growing `Vec` counted each time it
/// grows.
pub(crate) fn count(task: &mut Task, token: &mut String) -> Result<u64, Failure> {
    // The first run fills caches and thread-local generators; the least of some more is what a
    // token costs, for a generator reseeds itself now and then.
    task(token)?;
    let mut least = u64::MAX;
    for _ in 0..8 {
        let before = COUNT.get();
        COUNTING.set(true);
        let result = task(token);
        COUNTING.set(false);
        result?;
        least = least.min(COUNT.get() - before);
    }
    Ok(least)
}

struct CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn note() {
    // While tokens are timed this is one load that every allocation can afford.
    if COUNTING.get() {
        COUNT.set(COUNT.get() + 1);
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
