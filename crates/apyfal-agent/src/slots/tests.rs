use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use apyfal_core::{Cancel, JobContext, Turn};

use super::*;

fn scheduler(cores: usize, max_waiting: Option<usize>) -> Scheduler {
    Scheduler::new(NonZeroUsize::new(cores).unwrap(), max_waiting)
}

fn asking<'a>(accelerator: &'a str, slots: Slots, session: &'a str) -> Asking<'a> {
    let (engine, owner) = ("cpu", &Owner::Anyone);
    Asking { accelerator, engine, slots, owner, session, always: false }
}

fn card(session: &str) -> Asking<'_> {
    asking("card", Slots::Fixed(1), session)
}

/// The result of a future that is ready now.
fn now<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn is_idle(scheduler: &Scheduler) -> bool {
    let state = scheduler.0.state();
    (state.running, state.waiting) == (0, 0)
        && state
            .engines
            .iter()
            .all(|engine| (engine.running, engine.lent) == (0, 0) && engine.queue.is_clean())
}

#[tokio::test]
async fn a_lone_job_gets_all_cores_and_rivals_share_them() {
    let scheduler = scheduler(4, None);
    let gzip = asking("gzip", Slots::Cores, "");
    let first = scheduler.slot(gzip).await.unwrap();
    let second = scheduler.slot(gzip).await.unwrap();
    let other = scheduler.slot(card("")).await.unwrap();
    assert_eq!((first.threads.get(), second.threads.get(), other.threads.get()), (4, 2, 1));
    drop((first, second, other));
    assert_eq!(scheduler.slot(gzip).await.unwrap().threads.get(), 4);
}

#[tokio::test]
async fn no_more_jobs_than_slots_run() {
    let scheduler = scheduler(4, None);
    let first = scheduler.slot(card("")).await.unwrap();
    assert!(scheduler.free_slot(card("")).is_none());
    let mut second = pin!(scheduler.slot(card("")));
    assert!(now(second.as_mut()).is_none());
    let load = scheduler.load();
    assert_eq!((load.running, load.waiting), (1, 1));
    let load_of = AcceleratorLoad { name: "card".into(), slots: 1, running: 1, waiting: 1 };
    assert_eq!(load.accelerators, [load_of]);
    drop(first);
    // It goes to who waits, not to who comes by.
    assert!(scheduler.free_slot(card("")).is_none());
    drop(second.await.unwrap());
    assert!(scheduler.free_slot(card("")).is_some());
    assert!(is_idle(&scheduler));
}

#[tokio::test]
async fn a_thousand_jobs_of_one_do_not_hold_up_another() {
    let scheduler = scheduler(2, None);
    let slot = scheduler.slot(card("many")).await.unwrap();
    let mut crowd: Vec<_> = (0..1000).map(|_| Box::pin(scheduler.slot(card("many")))).collect();
    assert!(crowd.iter_mut().all(|waiting| now(waiting.as_mut()).is_none()));
    let mut alone = pin!(scheduler.slot(card("few")));
    assert!(now(alone.as_mut()).is_none());
    drop(slot);
    let first = now(crowd[0].as_mut());
    assert!(first.is_some() && now(alone.as_mut()).is_none());
    drop(first);
    assert!(now(alone.as_mut()).is_some_and(|slot| slot.is_ok()));
}

#[tokio::test]
async fn who_comes_when_too_many_wait_is_told_when_to_come_again() {
    let scheduler = scheduler(1, Some(1));
    let running = scheduler.slot(card("a")).await.unwrap();
    let mut waiting = pin!(scheduler.slot(card("a")));
    assert!(now(waiting.as_mut()).is_none());
    let error = scheduler.slot(card("b")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.is_retryable() && !error.hints().is_empty());
    assert!(error.details().retry_after == Some(1), "{error:?}");
    scheduler.0.state().engines[0].ended(Duration::from_secs(30));
    let error = scheduler.slot(card("b")).await.unwrap_err();
    assert!(error.details().retry_after == Some(60), "{error:?}");
    // What ends a session gets its turn none the less.
    let mut ending = pin!(scheduler.slot(Asking { always: true, ..card("b") }));
    assert!(now(ending.as_mut()).is_none());
    drop(running);
    drop(waiting.await.unwrap());
    drop(ending.await.unwrap());
    assert!(is_idle(&scheduler));
}

/// What runs and waits.
fn load(scheduler: &Scheduler) -> (usize, usize) {
    let load = scheduler.load();
    let sum = |of: fn(&AcceleratorLoad) -> usize| load.accelerators.iter().map(of).sum();
    assert_eq!((sum(|one| one.running), sum(|one| one.waiting)), (load.running, load.waiting));
    (load.running, load.waiting)
}

fn take_back(held: &Arc<Held>, cancel: &Cancel) -> tokio::task::JoinHandle<Result<()>> {
    let (held, cancel) = (held.clone(), cancel.clone());
    tokio::task::spawn_blocking(move || held.take_back(&cancel))
}

#[tokio::test]
async fn what_is_lent_comes_back_in_turn() {
    let scheduler = scheduler(1, Some(1));
    let gzip = |session| asking("gzip", Slots::Cores, session);
    let cancel = Cancel::default();
    let held = Held::new(scheduler.slot(gzip("a")).await.unwrap(), gzip("a"));
    assert!(!held.lend(), "nobody waits for it");
    held.take_back(&cancel).unwrap();
    assert_eq!(load(&scheduler), (1, 0));

    let mut second = pin!(scheduler.slot(gzip("b")));
    assert!(now(second.as_mut()).is_none());
    // Two threads of the job may wait.
    assert!(held.lend() && held.lend());
    let second = now(second.as_mut()).unwrap().unwrap();
    assert_eq!(load(&scheduler), (1, 1));
    let mut third = pin!(scheduler.slot(gzip("c")));
    assert!(now(third.as_mut()).is_none());
    assert_eq!(load(&scheduler), (1, 2));
    // It waits although no more may, and behind those who came before.
    let back = take_back(&held, &cancel);
    while scheduler.0.state().waiting < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(load(&scheduler), (1, 2));
    drop(second);
    let third = now(third.as_mut()).unwrap().unwrap();
    assert!(!back.is_finished());
    drop(third);
    back.await.unwrap().unwrap();
    assert_eq!(load(&scheduler), (1, 0));
    drop(held);
    assert!(is_idle(&scheduler));
}

#[tokio::test]
async fn who_is_cancelled_without_a_slot_leaves_nothing() {
    let scheduler = scheduler(1, None);
    let gzip = asking("gzip", Slots::Cores, "");
    for is_waiting in [false, true] {
        let held = Held::new(scheduler.slot(gzip).await.unwrap(), gzip);
        let mut other = pin!(scheduler.slot(gzip));
        assert!(now(other.as_mut()).is_none());
        assert!(held.lend());
        let other = now(other.as_mut()).unwrap().unwrap();
        if is_waiting {
            let cancel = Cancel::default();
            let back = take_back(&held, &cancel);
            while scheduler.0.state().waiting == 0 {
                tokio::task::yield_now().await;
            }
            cancel.cancel();
            assert!(back.await.unwrap().unwrap_err().is_cancelled());
        }
        drop(held);
        assert_eq!(load(&scheduler), (1, 0));
        drop(other);
        assert!(is_idle(&scheduler));
    }
}

#[tokio::test]
async fn only_what_is_cores_is_lent() {
    for (slots, is_lent) in [(Slots::Cores, true), (Slots::Fixed(1), false)] {
        let scheduler = scheduler(1, None);
        let asked = asking("it", slots, "");
        let held = Held::new(scheduler.slot(asked).await.unwrap(), asked);
        let ctx = JobContext::new(Cancel::default(), Arc::default(), "/tmp", held.threads);
        let ctx = held.context(ctx);
        let mut other = pin!(scheduler.slot(asked));
        assert!(now(other.as_mut()).is_none());
        ctx.lend_turn();
        assert_eq!(now(other.as_mut()).is_some(), is_lent, "{slots:?}");
        // The context of a job that is over keeps no slot.
        drop(held);
        ctx.take_turn_back().unwrap();
        assert!(is_lent || now(other.as_mut()).is_some());
        assert!(is_idle(&scheduler));
    }
}

#[test]
fn leaving_at_any_moment_loses_no_slot() {
    let scheduler = Arc::new(scheduler(2, None));
    let running = Arc::new(Mutex::new(HashMap::<&str, usize>::new()));
    let threads: Vec<_> = (0..4u64)
        .map(|thread| {
            let (scheduler, running) = (scheduler.clone(), running.clone());
            std::thread::spawn(move || hammer(thread, &scheduler, &running))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(is_idle(&scheduler), "{:?}", scheduler.load());
}

/// Asks for slots, and waits for them, drops them or drops what waits, in an order of its own.
fn hammer(seed: u64, scheduler: &Scheduler, running: &Mutex<HashMap<&'static str, usize>>) {
    const ENGINES: [(&str, Slots, usize); 2] =
        [("card", Slots::Fixed(1), 1), ("gzip", Slots::Cores, 2)];
    let mut state = seed * 2 + 0x2545_f491_4f6c_dd1d;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % below
    };
    let owners = ["a", "b", "c"];
    let mut waiting = Vec::new();
    let mut held = Vec::new();
    for _ in 0..20_000 {
        let (name, slots, most) = ENGINES[random(2)];
        match random(6) {
            0 | 1 => waiting.push((
                name,
                most,
                Box::pin(scheduler.slot(asking(name, slots, owners[random(3)]))),
            )),
            2 | 3 if !waiting.is_empty() => {
                let place = random(waiting.len());
                let ready = now(waiting[place].2.as_mut());
                if let Some(slot) = ready {
                    let (name, most, _) = waiting.swap_remove(place);
                    let mut running = running.lock().unwrap();
                    let count = running.entry(name).or_default();
                    *count += 1;
                    assert!(*count <= most, "{count} jobs of {name}");
                    held.push((name, slot.unwrap()));
                }
            }
            4 if !waiting.is_empty() => drop(waiting.swap_remove(random(waiting.len()))),
            5 if !held.is_empty() => {
                let (name, slot) = held.swap_remove(random(held.len()));
                *running.lock().unwrap().get_mut(name).unwrap() -= 1;
                drop(slot);
            }
            _ => {}
        }
    }
    for (name, slot) in held {
        *running.lock().unwrap().get_mut(name).unwrap() -= 1;
        drop(slot);
    }
}
