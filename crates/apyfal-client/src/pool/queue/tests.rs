use apyfal_core::ErrorKind;
use futures::FutureExt;

use super::loads::LOST;
use super::*;
use crate::pool::session::PoolSession;

fn queue(slots: &[usize]) -> Queue {
    let queue = Queue::new(slots.len());
    slots.iter().enumerate().for_each(|(host, slots)| queue.joins(host, *slots));
    queue
}

/// A job that one host is able to do, or all are where none is named.
fn on(queue: &Queue, only: Option<usize>) -> Able {
    let ids = vec![Some("session".to_owned()); queue.state().hosts.len()];
    Able { session: Arc::new(PoolSession::started(ids)), only, without: Vec::new() }
}

fn any(queue: &Queue) -> Able {
    on(queue, None)
}

async fn take(queue: &Queue) -> Permit<'_> {
    queue.place(any(queue)).await.unwrap()
}

#[tokio::test]
async fn the_emptiest_host_is_next() {
    let queue = queue(&[1, 3]);
    let mut taken = Vec::new();
    for _ in 0..6 {
        taken.push(take(&queue).await);
    }
    // Free slots first, then one more on each.
    assert_eq!(taken.iter().map(|place| place.host).collect::<Vec<_>>(), [0, 1, 1, 1, 0, 1]);
    let waiting = take(&queue);
    let freed = async {
        tokio::task::yield_now().await;
        taken.remove(2);
    };
    let (place, ()) = tokio::join!(waiting, freed);
    assert_eq!(place.host, 1);
}

fn gone() -> Error {
    Error::new(ErrorKind::Unavailable, "gone")
}

#[tokio::test]
async fn a_host_that_does_not_answer_rests() {
    let queue = queue(&[5, 5]);
    queue.rest(0, Instant::now(), gone());
    for _ in 0..3 {
        assert_eq!(take(&queue).await.host, 1);
    }
    assert!(queue.place(Able { without: vec![0, 1], ..any(&queue) }).await.is_none());
    // It is tried where there is no other, by one job at a time.
    let place = queue.place(on(&queue, Some(0))).await.unwrap();
    assert!(place.host == 0 && place.is_doubtful);
    assert!(Box::pin(queue.place(on(&queue, Some(0)))).now_or_never().is_none());
    queue.works(0);
    let other = queue.place(on(&queue, Some(0))).await.unwrap();
    assert!(other.host == 0 && !other.is_doubtful && queue.trouble(0).is_none());
}

#[tokio::test]
async fn jobs_are_given_up_once_no_host_has_answered_for_long() {
    let queue = queue(&[5, 5]);
    let long_ago = Instant::now().checked_sub(LOST).unwrap();
    queue.rest(0, long_ago, gone());
    // The other one may come back yet.
    queue.rest(1, Instant::now(), gone());
    assert!(Box::pin(queue.place(any(&queue))).now_or_never().is_none());
    assert!(queue.place(on(&queue, Some(0))).await.is_none());
    queue.leave_out(1, gone());
    assert!(queue.place(any(&queue)).await.is_none());
    // What is left out stays so, until the hosts are asked anew.
    queue.works(1);
    queue.rest(1, Instant::now(), gone());
    assert!(queue.place(any(&queue)).await.is_none() && queue.trouble(1).is_some());
    queue.joins(1, 1);
    assert_eq!(take(&queue).await.host, 1);
}

#[tokio::test]
async fn a_paused_host_is_waited_for() {
    let queue = queue(&[1, 1]);
    queue.pause(0, Duration::from_secs(1000));
    assert_eq!(take(&queue).await.host, 1);
    assert!(Box::pin(queue.place(on(&queue, Some(0)))).now_or_never().is_none());
    queue.pause(0, Duration::from_millis(10));
    assert_eq!(queue.place(on(&queue, Some(0))).await.unwrap().host, 0);
}

#[tokio::test]
async fn a_job_is_called_back_only_for_a_host_that_can_do_it() {
    let queue = queue(&[1, 1]);
    let first = async || queue.place(on(&queue, Some(0))).await.unwrap();
    let (runs, waits) = (first().await, first().await);
    assert!(waits.wanted_elsewhere().now_or_never().is_none(), "it cannot go to the idle host");
    drop(queue.place(on(&queue, Some(1))).await);
    assert!(waits.wanted_elsewhere().now_or_never().is_none(), "not then either");
    drop(runs);
}

#[tokio::test]
async fn what_waits_at_a_full_host_is_called_back_by_an_idle_one() {
    let queue = queue(&[1, 1]);
    let (slow, fast) = (take(&queue).await, take(&queue).await);
    let (waits, other) = (take(&queue).await, take(&queue).await);
    assert_eq!([slow.host, fast.host, waits.host, other.host], [0, 1, 0, 1]);
    let is_wanted = |place: &Permit<'_>| place.wanted_elsewhere().now_or_never().is_some();
    drop(fast);
    assert!(!is_wanted(&waits), "the other host has a job still");
    drop(other);
    assert!(is_wanted(&waits) && !is_wanted(&slow));
    drop(waits);
    assert_eq!(take(&queue).await.host, 1);
}

#[tokio::test]
async fn a_job_that_waits_here_goes_before_one_that_waits_there() {
    let queue = queue(&[1, 1]);
    let mut places = Vec::new();
    for _ in 0..4 {
        places.push(take(&queue).await);
    }
    let mut next = Box::pin(take(&queue));
    assert!((&mut next).now_or_never().is_none());
    places.remove(1);
    let next = next.await;
    assert_eq!(next.host, 1);
    assert!(places[1].wanted_elsewhere().now_or_never().is_none());
}

#[tokio::test]
async fn a_thousand_hosts_fill_up_together() {
    let queue = queue(&[2; 1000]);
    let able = any(&queue);
    let mut places = Vec::new();
    for _ in 0..3000 {
        places.push(queue.place(able.clone()).await.unwrap());
    }
    let at = |host: usize| places.iter().filter(|place| place.host == host).count();
    assert!((0..1000).all(|host| at(host) == 3), "two run on each, and one waits");
    assert!(Box::pin(queue.place(able.clone())).now_or_never().is_none());
    // They share what they know of it.
    assert_eq!(Arc::strong_count(&able.session), 3001);
    // Where one host has done all that it had, it gets what waits at another.
    places.retain(|place| place.host != 999);
    let wanted = places.iter().filter(|place| place.wanted_elsewhere().now_or_never().is_some());
    assert!(wanted.count() > 0);
}
