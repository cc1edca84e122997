use std::sync::LazyLock;
use std::time::Instant;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const LIMITS: LeaseLimits = LeaseLimits { idle_timeout: Some(HOUR), max_lifetime: Some(HOUR) };

fn open(directory: &tempfile::TempDir, limits: LeaseLimits) -> Lease {
    let (lease, written) = Lease::open(directory.path(), None, limits);
    written.unwrap();
    lease
}

fn now() -> u64 {
    uptime::milliseconds()
}

fn file(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join(FILE)
}

#[test]
fn an_agent_that_starts_again_begins_no_new_life() {
    let directory = tempfile::tempdir().unwrap();
    let ends = open(&directory, LIMITS).record().life_ends;
    assert!(ends > 0);
    assert_eq!(open(&directory, LIMITS).record().life_ends, ends);
    // Another system, or another limit, is another life.
    let longer = LeaseLimits { max_lifetime: Some(2 * HOUR), ..LIMITS };
    assert!(open(&directory, longer).record().life_ends > ends);
    let other = Record { boot: "another".into(), life_ends: 1, ..Record::begun(longer, now()) };
    other.write(&file(&directory), true).unwrap();
    let (_, life) = open(&directory, longer).left_at(now());
    assert!(life.unwrap() > milliseconds(HOUR) && life.unwrap() <= milliseconds(2 * HOUR));
}

#[test]
fn a_start_is_no_use_unless_the_agent_before_was_told_to_end() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(&directory, LIMITS);
    // Used last when the system had just started.
    let idle_ends = milliseconds(HOUR) + 1;
    let record = Record { idle_ends, ..first.current() };
    record.write(&file(&directory), true).unwrap();
    // As an agent that fails to start, again and again.
    for _ in 0..3 {
        assert_eq!(open(&directory, LIMITS).left_at(0).0, Some(idle_ends));
    }
    open(&directory, LIMITS).rest();
    assert!(open(&directory, LIMITS).left_at(0).0 > Some(idle_ends));
}

#[test]
fn it_runs_out_and_can_be_extended() {
    let directory = tempfile::tempdir().unwrap();
    let lease = open(&directory, LIMITS);
    let later = now() + milliseconds(2 * HOUR);
    assert_eq!(lease.left_at(later), (Some(0), Some(0)));
    lease.extend(3 * HOUR).unwrap();
    let (idle, life) = lease.left_at(later);
    assert!(idle.unwrap() > 0 && life.unwrap() > 0);
    let written = Record::read(&file(&directory)).unwrap();
    assert!(written.idle_ends > later && written.life_ends > later, "what ends the machine too");
    lease.extend(Duration::from_secs(1)).unwrap();
    assert!(lease.left_at(later).1.unwrap() > 0, "it is never made shorter");
    let again = open(&directory, LIMITS);
    assert!(again.left_at(later).1.unwrap() > 0, "an extension outlives the agent");
    assert!(lease.extend(FURTHEST + HOUR).is_err());
}

#[test]
fn use_is_written_down() {
    let directory = tempfile::tempdir().unwrap();
    let lease = open(&directory, LIMITS);
    Record::default().write(&file(&directory), true).unwrap();
    lease.keep();
    assert_eq!(Record::read(&file(&directory)).unwrap().idle_ends, 0, "not at every look");
    lease.reported.store(0, Ordering::Relaxed);
    lease.used();
    lease.keep();
    let written = Record::read(&file(&directory)).unwrap();
    assert!(written.idle_ends > now() && written.agent == u64::from(std::process::id()));
}

#[test]
fn where_it_cannot_be_written_down_it_runs_all_the_same() {
    let (directory, memory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // No user writes below a file.
    let nowhere = directory.path().join("file");
    std::fs::write(&nowhere, "").unwrap();
    let (lease, written) = Lease::open(&nowhere, None, LIMITS);
    assert!(written.unwrap_err().to_string().contains("write the lease down"));
    assert_eq!(lease.left_at(u64::MAX), (Some(0), Some(0)));
    // One place is enough to move it, and to go on from.
    let (lease, written) = Lease::open(&nowhere, Some(memory.path()), LIMITS);
    assert!(written.is_err());
    lease.extend(3 * HOUR).unwrap();
    let (again, _) = Lease::open(&nowhere, Some(memory.path()), LIMITS);
    assert!(again.left_at(now()).1.unwrap() > milliseconds(2 * HOUR));
}

#[test]
fn a_host_is_armed_before_it_serves() {
    let directory = tempfile::tempdir().unwrap();
    Lease::arm(directory.path(), LIMITS).unwrap();
    let armed = Record::read(&file(&directory)).unwrap();
    assert!(armed.idle_ends > now() && armed.life_ends > now() && armed.agent == 0);
    // It keeps its times where it serves and where it is armed again.
    let ends = open(&directory, LIMITS).record().life_ends;
    assert_eq!(ends, armed.life_ends);
    Lease::arm(directory.path(), LIMITS).unwrap();
    assert_eq!(Record::read(&file(&directory)).unwrap().life_ends, ends);
    Lease::arm(directory.path(), LeaseLimits::default()).unwrap();
    assert!(!file(&directory).exists());
}

#[test]
fn without_limits_there_is_no_lease() {
    let (directory, memory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // Not that of earlier either.
    let paths = [file(&memory), file(&directory)];
    Lease::open(directory.path(), Some(memory.path()), LIMITS).1.unwrap();
    assert!(paths.iter().all(|path| path.exists()));
    let (lease, forgot) =
        Lease::open(directory.path(), Some(memory.path()), LeaseLimits::default());
    forgot.unwrap();
    assert_eq!(lease.left(), None);
    assert_eq!(lease.extend(HOUR).unwrap_err().kind(), ErrorKind::Conflict);
    lease.keep();
    lease.rest();
    assert!(!paths.iter().any(|path| path.exists()));
}

#[tokio::test]
async fn a_use_that_comes_as_the_host_would_end_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let moment = Some(Duration::from_millis(1));
    let lease = open(&directory, LeaseLimits { idle_timeout: moment, max_lifetime: None });
    let (draining, came) = (Draining::default(), std::sync::Mutex::new(Vec::new()));
    // It is there when the host first looks for it while it takes no more.
    let is_in_use = || {
        let mut came = came.lock().unwrap();
        came.push(draining.is_set());
        came.iter().filter(|is_draining| **is_draining).count() == 1 && draining.is_set()
    };
    lease.ended(is_in_use, &draining, &Logs::new()).await;
    let mut looked = came.into_inner().unwrap();
    looked.dedup();
    assert_eq!(looked, [false, true, false, true], "it takes work again before it ends");
    assert!(draining.is_set());
}

/// The time of the runtime. It stands still in these tests, and moves on where all wait for it.
fn runtime_time() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let began = *BEGAN;
    milliseconds(HOUR + tokio::time::Instant::now().into_std().saturating_duration_since(began))
}

/// After how many seconds a host with this lease ends that is in use as is said of each second; and
/// when it was in use and took no more.
async fn ended(limits: LeaseLimits, is_in_use: impl Fn(u64) -> bool) -> (u64, Vec<u64>) {
    let directory = tempfile::tempdir().unwrap();
    let begun = runtime_time();
    let seconds = || (runtime_time() - begun) / 1000;
    let (lease, written) = Lease::open_by(runtime_time, directory.path(), None, limits);
    written.unwrap();
    let (draining, drained) = (Draining::default(), Mutex::new(Vec::new()));
    let looks = || {
        let is_in_use = is_in_use(seconds());
        if is_in_use && draining.is_set() {
            drained.lock().push(seconds());
        }
        is_in_use
    };
    lease.ended(looks, &draining, &Logs::new()).await;
    assert!(draining.is_set(), "it takes no more");
    (seconds(), drained.into_inner())
}

#[tokio::test(start_paused = true)]
async fn a_host_ends_that_nobody_uses_for_too_long() {
    let limits = LeaseLimits { idle_timeout: Some(HOUR), max_lifetime: None };
    let (at, drained) = ended(limits, |_| false).await;
    assert!((3600..3602).contains(&at) && drained.is_empty(), "after {at} s");
    // However long it is used, it ends so much later.
    let (at, drained) = ended(limits, |seconds| seconds < 10_000).await;
    assert!((13_599..13_602).contains(&at) && drained.is_empty(), "after {at} s");
}

#[tokio::test(start_paused = true)]
async fn a_life_ends_when_its_uses_have() {
    let limits = LeaseLimits { idle_timeout: None, max_lifetime: Some(HOUR) };
    let (at, drained) = ended(limits, |seconds| seconds < 4000).await;
    assert!((4000..4002).contains(&at), "after {at} s");
    assert!(drained.first().is_some_and(|first| (3600..3602).contains(first)), "{drained:?}");
    // But it does not wait for ever.
    let (at, _) = ended(limits, |_| true).await;
    let last = 3600 + DRAIN.as_secs();
    assert!((last..last + 3).contains(&at), "after {at} s");
}
