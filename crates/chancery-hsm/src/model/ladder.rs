//! The ladder: one climbs at a time, every wait ends, and nothing is tried after the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chancery_core::SignErrorKind;
use shuttle::thread;

use super::{Count, explore, trouble};
use crate::ladder::{FirstTry, Ladder};
use crate::sync::AtomicUsize;

const FAILED: SignErrorKind = SignErrorKind::Unavailable;

/// A pause that does not pass by itself in a model.
const LONG: usize = 6;

fn never() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

/// A ladder on which a session has been opened and lost.
fn ladder_in_use() -> Arc<Ladder> {
    let ladder = Arc::new(Ladder::new(Duration::from_secs(3600)));
    ladder.opened();
    ladder.lost();
    ladder
}

fn spawn(ladder: &Arc<Ladder>, run: impl Fn(&Ladder) + Send + 'static) -> thread::JoinHandle<()> {
    let ladder = Arc::clone(ladder);
    thread::spawn(move || run(&ladder))
}

#[test]
fn one_climbs_at_a_time() {
    explore(4_000, || {
        let ladder = Arc::new(Ladder::new(Duration::from_secs(3600)));
        let climbing = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let climbing = Arc::clone(&climbing);
                spawn(&ladder, move |ladder| {
                    let opened = ladder.climb(|| {
                        let others = climbing.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        assert_eq!(others, 0);
                        thread::yield_now();
                        climbing.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        ladder.opened();
                    });
                    assert!(opened.is_some());
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(ladder.sessions().0, 3);
    });
}

#[test]
fn nothing_is_tried_after_a_wrong_pin() {
    explore(4_000, || {
        let ladder = ladder_in_use();
        let tries = Arc::new(Count::default());
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let tries = Arc::clone(&tries);
                spawn(&ladder, move |ladder| {
                    ladder.climb(|| {
                        tries.add();
                        ladder.failed(&trouble(SignErrorKind::WrongPin), 0);
                    });
                    assert!(ladder.climb(|| tries.add()).is_none());
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(tries.is(1));
        let reason = ladder.sessions().1.map(|trouble| trouble.kind());
        assert_eq!(reason, Some(SignErrorKind::WrongPin));
    });
}

#[test]
fn a_session_opened_meanwhile_does_not_undo_a_latch() {
    explore(4_000, || {
        let ladder = ladder_in_use();
        ladder.opened();
        let opens = spawn(&ladder, |ladder| {
            ladder.climb(|| ladder.opened());
        });
        // Another worker's session says so while it signs.
        ladder.latch(&trouble(SignErrorKind::WrongPin));
        opens.join().unwrap();
        let reason = ladder.sessions().1.map(|trouble| trouble.kind());
        assert_eq!(reason, Some(SignErrorKind::WrongPin));
        assert!(ladder.climb(|| ()).is_none());
    });
}

#[test]
fn the_end_ends_all_waits() {
    explore(4_000, || {
        let ladder = ladder_in_use();
        for _ in 0..=LONG {
            ladder.failed(&trouble(FAILED), 0);
        }
        for _ in 0..2 {
            ladder.worker_started();
        }
        let threads = [
            spawn(&ladder, |ladder| {
                // The pause before the next try is half a second, which a busy machine may take.
                let _ = ladder.climb(|| ());
                ladder.worker_ended();
            }),
            spawn(&ladder, |ladder| {
                ladder.rest(LONG);
                ladder.worker_ended();
            }),
        ];
        ladder.close();
        ladder.wait_for_workers(never());
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn the_loss_of_the_last_session_ends_the_pause_of_those_without() {
    explore(4_000, || {
        let ladder = ladder_in_use();
        ladder.opened();
        // Another worker finds no session while this one has one.
        for _ in 0..=LONG {
            let failure = ladder.failed(&trouble(FAILED), 0);
            assert!(!failure.reset && !failure.refuse);
        }
        let waits = spawn(&ladder, |ladder| {
            assert!(ladder.climb(|| ladder.opened()).is_some());
        });
        ladder.lost();
        waits.join().unwrap();
        assert_eq!(ladder.sessions().0, 1);
    });
}

#[test]
fn the_first_try_is_answered_whichever_way_it_goes() {
    explore(4_000, || {
        let ladder = Arc::new(Ladder::new(Duration::from_secs(3600)));
        let opens = spawn(&ladder, |ladder| {
            ladder.climb(|| ladder.opened());
        });
        assert!(matches!(ladder.first_try(never()), FirstTry::Opened));
        opens.join().unwrap();

        let ladder = Arc::new(Ladder::new(Duration::from_secs(3600)));
        let fails = spawn(&ladder, |ladder| {
            ladder.climb(|| ladder.failed(&trouble(FAILED), 0));
            assert!(ladder.climb(|| ()).is_none(), "the signer was given up");
        });
        assert!(matches!(ladder.first_try(never()), FirstTry::Failed(_)));
        fails.join().unwrap();
    });
}

#[test]
fn workers_that_fail_at_once_reset_once() {
    explore(4_000, || {
        let ladder = ladder_in_use();
        let started = Instant::now();
        let resets = Arc::new(Count::default());
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let resets = Arc::clone(&resets);
                spawn(&ladder, move |ladder| {
                    if ladder.failed(&trouble(FAILED), 0).reset {
                        resets.add();
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        // The clock of the machine goes on, which may be busy with something else.
        assert!(resets.is(1) || started.elapsed() > Duration::from_millis(200));
    });
}

#[test]
fn the_sessions_of_several_workers_are_counted() {
    explore(4_000, || {
        let ladder = Arc::new(Ladder::new(Duration::from_secs(3600)));
        ladder.opened();
        let downs = Arc::new(Count::default());
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let downs = Arc::clone(&downs);
                spawn(&ladder, move |ladder| {
                    let down_for = ladder.climb(|| ladder.opened());
                    if down_for.unwrap().is_some() {
                        downs.add();
                    }
                    ladder.lost();
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(ladder.sessions().0, 1);
        // The first session was there all the while.
        assert!(downs.is(0));
    });
}
