//! Hosts that hang: their systems take connections, and they answer nothing.

use std::fs;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use apyfal::{Accelerator, Call, Error, Input, Output, RemoteOptions, Report};
use apyfal_testkit::Kept;
use rustix::process::Signal;

use super::*;
use crate::common::server::until;
use crate::common::{text, words};

/// A host that adds a word to what it is given, once its gate is open. It does one job at a time.
fn host(word: &str, is_safe: &str) -> Arc<Server> {
    host_of(1, word, is_safe)
}

/// The same with so many at a time.
fn host_of(slots: usize, word: &str, is_safe: &str) -> Arc<Server> {
    let command = format!("cat; until [ -e \\\"$HOME/go\\\" ]; do sleep 0.05; done; printf {word}");
    let configuration = format!(
        "[accelerator.work]\ncommand = [\"sh\", \"-c\", \"{command}\"]\nslots = {slots}\n\
         rerun_safe = {is_safe}\n"
    );
    Arc::new(Server::configured(&configuration, &[]))
}

/// Hosts that may be slow, as the machine of a test is, without harm: what seems to hang only runs on
/// another one as well.
async fn accelerator(hosts: &[&Arc<Server>]) -> Accelerator {
    let options = |host: &&Arc<Server>| RemoteOptions {
        hangs_after: Duration::from_secs(3),
        ..RemoteOptions::new(host.address())
    };
    let hosts = hosts.iter().map(options);
    let accelerator = Accelerator::builder("work").hosts(hosts).build().unwrap();
    accelerator.start(Call::new()).await.unwrap();
    accelerator
}

/// Repeats a check until it holds, without a thread of the runtime.
async fn becomes(what: &str, mut check: impl FnMut() -> bool + Send + 'static) {
    let what = what.to_owned();
    tokio::task::spawn_blocking(move || until(&what, &mut check)).await.unwrap();
}

async fn runs_on(host: &Arc<Server>) {
    let host = host.clone();
    becomes("it runs there", move || live(&host) == 1).await;
}

async fn runs_no_more_on(host: &Arc<Server>) {
    let host = host.clone();
    becomes("it ended there", move || live(&host) == 0).await;
}

/// Waits for a job, within bounds.
async fn ended(job: impl Future<Output = Result<Report, Error>>) -> Report {
    tokio::time::timeout(Duration::from_secs(120), job).await.expect("it ends").unwrap()
}

fn done(accelerator: &Accelerator) -> Vec<u64> {
    accelerator.load().iter().map(|load| load.done).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_a_host_that_hangs_runs_on_a_second_one_as_well() {
    let (one, two) = (host("one", "True"), host("two", "True"));
    // What can be read twice, and a stream.
    for src in [Input::bytes(*b"text "), Input::stream(&b"text "[..])] {
        let accelerator = accelerator(&[&one, &two]).await;
        let kept = Kept::default();
        let job = accelerator.process_submit(Call::new().input(src).output(kept.output()));
        runs_on(&one).await;
        one.signal(Signal::STOP);
        runs_on(&two).await;
        two.open_gate();
        let report = ended(job).await;
        assert_eq!(text(&kept.bytes()), "text two");
        assert_eq!(report.profiling.bytes_written, 8);
        // The one that lost was cancelled.
        one.signal(Signal::CONT);
        runs_no_more_on(&one).await;
        assert_eq!(done(&accelerator), [0, 1]);
        accelerator.stop().await.unwrap();
        assert_eq!([sessions(&one), sessions(&two)], [0, 0]);
        fs::remove_file(two.home().path("go")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_result_counts() {
    let (one, two) = (host("one", "True"), host("two", "True"));
    let accelerator = accelerator(&[&one, &two]).await;
    let kept = Kept::default();
    let call = Call::new().input(Input::bytes(*b"text ")).output(kept.output());
    let job = accelerator.process_submit(call);
    runs_on(&one).await;
    one.signal(Signal::STOP);
    runs_on(&two).await;
    one.signal(Signal::CONT);
    one.open_gate();
    ended(job).await;
    assert_eq!(text(&kept.bytes()), "text one");
    runs_no_more_on(&two).await;
    assert_eq!(done(&accelerator), [1, 0]);
    accelerator.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_result_is_taken_back() {
    let (one, two) = (host("one", "True"), host("two", "True"));
    let accelerator = accelerator(&[&one, &two]).await;
    let (folder, data) = (Home::new(), words(3_000_000, 5));
    let path = folder.path("out");
    let output = Output::file(fs::File::create(&path).unwrap(), &path);
    let call = Call::new().input(Input::bytes(data.clone())).output(output);
    let job = accelerator.process_submit(call);
    let came = path.clone();
    becomes("a part of it came", move || fs::metadata(&came).unwrap().len() > 0).await;
    one.signal(Signal::STOP);
    runs_on(&two).await;
    two.open_gate();
    ended(job).await;
    assert!(fs::read(&path).unwrap() == [&data[..], b"two"].concat());
    one.signal(Signal::CONT);
    runs_no_more_on(&one).await;
    accelerator.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_handed_on_is_waited_for() {
    let (one, two) = (host("one", "True"), host("two", "True"));
    let accelerator = accelerator(&[&one, &two]).await;
    let (data, kept) = (words(3_000_000, 5), Kept::default());
    let call = Call::new().input(Input::bytes(data.clone())).output(kept.output());
    let job = accelerator.process_submit(call);
    let came = kept.clone();
    becomes("a part of it came", move || !came.bytes().is_empty()).await;
    one.signal(Signal::STOP);
    let hangs = accelerator.hosts()[0].clone();
    becomes("it is told", move || hangs.hang().is_some()).await;
    two.open_gate();
    one.signal(Signal::CONT);
    one.open_gate();
    ended(job).await;
    assert!(kept.bytes() == [&data[..], b"one"].concat());
    assert_eq!(done(&accelerator), [1, 0]);
    accelerator.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_run_twice_waits_for_its_host() {
    let (one, two) = (host("one", "False"), host("two", "False"));
    for hosts in [&[&one, &two][..], &[&one]] {
        let accelerator = accelerator(hosts).await;
        let kept = Kept::default();
        let call = Call::new().input(Input::bytes(*b"text ")).output(kept.output());
        let job = accelerator.process_submit(call);
        runs_on(&one).await;
        assert!(accelerator.hosts()[0].hang().is_none());
        one.signal(Signal::STOP);
        let hangs = accelerator.hosts()[0].clone();
        becomes("it is told", move || hangs.hang().is_some()).await;
        assert!(accelerator.hosts()[0].hang().unwrap() >= Duration::from_secs(6));
        assert_eq!(live(&two), 0);
        one.signal(Signal::CONT);
        one.open_gate();
        ended(job).await;
        assert_eq!(text(&kept.bytes()), "text one");
        assert!(accelerator.hosts()[0].hang().is_none());
        accelerator.stop().await.unwrap();
        fs::remove_file(one.home().path("go")).unwrap();
    }
}

#[test]
fn a_hang_is_told_and_waited_for() {
    // One slot of the first for each: a start needs one as well.
    let (home, one, two) = (Home::new(), host_of(2, "one", "False"), host("two", "False"));
    fs::create_dir(home.path("in")).unwrap();
    // Enough that both hosts have to do.
    let names = ["a", "b", "c", "d"];
    for name in names {
        home.write(&format!("in/{name}"), name);
    }
    let all = format!("{},{}", one.address(), two.address());
    let run: &[&str] = &["run", "work", "in/a", "alone", "--host_ip", one.address()];
    let map: &[&str] = &["map", "work", "in", "out", "--host_ip", &all];
    let spawned = |words: &[&str], told: &str| -> Child {
        let told = fs::File::create(home.path(told)).unwrap();
        home.apyfal(words).stderr(told).spawn().unwrap()
    };
    let runs = |host: &Arc<Server>| host.get("/status").json()["running"].as_u64().unwrap();
    let mut run = spawned(run, "of run");
    until("it runs there", || runs(&one) == 1);
    let mut map = spawned(map, "of map");
    until("its jobs run", || runs(&one) == 2 && runs(&two) == 1);
    one.signal(Signal::STOP);
    two.open_gate();
    let url = format!("http://{}", one.address());
    let warning = format!("warning: {url} has not answered for ");
    for told in ["of run", "of map"] {
        until("it is told", || text(&home.read(told)).contains(&warning));
    }
    let has_ended = |child: &mut Child| child.try_wait().unwrap().is_some();
    assert!(!has_ended(&mut run) && !has_ended(&mut map));
    one.signal(Signal::CONT);
    one.open_gate();
    for (child, told) in [(&mut run, "of run"), (&mut map, "of map")] {
        until("it ends", || has_ended(child));
        let told = text(&home.read(told));
        assert!(child.wait().unwrap().success(), "{told}");
        assert_eq!(told.matches(&warning).count(), 1, "{told}");
        assert!(told.contains("hint: "), "{told}");
    }
    assert_eq!(home.read("alone"), b"aone");
    let results = names.map(|name| text(&home.read(&format!("out/{name}"))));
    for word in ["one", "two"] {
        assert!(results.iter().any(|result| result.ends_with(word)), "{results:?}");
    }
    for (result, name) in results.iter().zip(names) {
        assert!([format!("{name}one"), format!("{name}two")].contains(result), "{results:?}");
    }
}
