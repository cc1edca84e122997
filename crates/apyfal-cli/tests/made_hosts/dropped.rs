//! A host is given back though nobody stops its accelerator: it was dropped, or its start was.

use std::sync::Arc;

use apyfal::hosts::Phase;
use apyfal::{Accelerator, Call, Cancel, Configuration, Surroundings};
use apyfal_core::Environment;
use tokio::runtime::{Builder, Runtime};

use crate::Cloud;
use crate::common::server::until;

impl Cloud {
    /// A program that uses the library. Once its host is that far, the switch is thrown.
    fn accelerator(&self, more: &str, far: Phase) -> (Accelerator, Cancel) {
        let variables = Vec::from_iter(std::env::var("PATH").map(|path| ("PATH".into(), path)));
        let home = Some(self.0.folder().to_owned());
        let surroundings = Surroundings {
            environment: Environment { variables, home },
            program: Some(env!("CARGO_BIN_EXE_apyfal").into()),
            ..Surroundings::default()
        };
        let text = format!("[host]\nhost_type = sim\n{more}");
        let is_there = Cancel::default();
        let seen = is_there.clone();
        let accelerator = Accelerator::builder("gzip")
            .configuration(Configuration::parse(text.as_bytes(), "accelerator.conf").unwrap())
            .surroundings(surroundings)
            .watch_host(Arc::new(move |_, phase| {
                if phase == far {
                    seen.cancel();
                }
            }))
            .build()
            .unwrap();
        (accelerator, is_there)
    }

    /// How many were made, and how many are there still.
    fn made(&self) -> (usize, usize) {
        (self.machines().len(), self.living())
    }
}

fn runtimes() -> [Runtime; 2] {
    [Builder::new_current_thread(), Builder::new_multi_thread()]
        .map(|mut builder| builder.enable_all().build().unwrap())
}

#[test]
fn a_start_that_is_dropped_gives_back_what_it_made() {
    for runtime in runtimes() {
        let cloud = Cloud::new();
        let (accelerator, is_running) = cloud.accelerator("", Phase::Requested);
        runtime.block_on(async {
            tokio::select! {
                started = accelerator.start(Call::new()) => panic!("{started:?}"),
                () = is_running.cancelled() => {}
            }
            // The accelerator is there still, and whoever uses it waits for what is under way.
            accelerator.stop().await.unwrap();
            assert_eq!(cloud.made(), (1, 0));
            accelerator.start(Call::new()).await.unwrap();
            assert_eq!(cloud.made(), (2, 1));
            accelerator.stop().await.unwrap();
        });
        assert_eq!(cloud.living(), 0);
    }
}

#[test]
fn a_start_that_is_dropped_is_undone_while_its_accelerator_lives() {
    let cloud = Cloud::new();
    let (accelerator, is_running) = cloud.accelerator("", Phase::Requested);
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        tokio::select! {
            started = accelerator.start(Call::new()) => panic!("{started:?}"),
            () = is_running.cancelled() => {}
        }
    });
    until("it has ended", || cloud.living() == 0 && cloud.listed().is_empty());
    assert_eq!(cloud.made(), (1, 0));
    drop(accelerator);
}

#[test]
fn the_end_of_a_runtime_waits_for_the_end_of_a_host() {
    for runtime in runtimes() {
        let cloud = Cloud::new();
        let (accelerator, is_running) = cloud.accelerator("", Phase::Requested);
        runtime.block_on(async {
            tokio::select! {
                started = accelerator.start(Call::new()) => panic!("{started:?}"),
                () = is_running.cancelled() => {}
            }
        });
        drop(accelerator);
        drop(runtime);
        assert_eq!(cloud.made(), (1, 0));
        assert!(cloud.listed().is_empty());
    }
}

#[test]
fn a_panic_and_an_error_give_a_host_back() {
    let cloud = Cloud::new();
    for runtime in runtimes() {
        let (accelerator, _) = cloud.accelerator("", Phase::Ready);
        let ended = std::thread::spawn(move || {
            runtime.block_on(async {
                accelerator.start(Call::new()).await.unwrap();
                panic!("the caller fails");
            });
        });
        assert!(ended.join().is_err());
        assert_eq!(cloud.living(), 0);
    }
    // Outside of any runtime too.
    let (accelerator, _) = cloud.accelerator("", Phase::Ready);
    Runtime::new().unwrap().block_on(accelerator.start(Call::new())).unwrap();
    assert_eq!(cloud.made(), (3, 1));
    drop(accelerator);
    assert_eq!(cloud.made(), (3, 0));
}

#[test]
fn a_program_that_goes_on_does_not_wait_for_the_end_of_a_host() {
    let cloud = Cloud::new();
    let (accelerator, _) = cloud.accelerator("", Phase::Ready);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        accelerator.start(Call::new()).await.unwrap();
        drop(accelerator);
        // Its end is a task of this runtime, and nothing of it ran so far.
        assert_eq!(cloud.made(), (1, 1));
        while cloud.living() > 0 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_stop_mode_is_honoured_where_nobody_stops() {
    let cloud = Cloud::new();
    let runtime = Runtime::new().unwrap();
    for (mode, state) in [("keep", "running"), ("stop", "stopped")] {
        let (accelerator, _) = cloud.accelerator(&format!("stop_mode = {mode}\n"), Phase::Ready);
        runtime.block_on(accelerator.start(Call::new())).unwrap();
        drop(accelerator);
        let states: Vec<_> =
            cloud.listed().iter().map(|host| host["state"].as_str().unwrap().to_owned()).collect();
        // The next one that asks for the same takes it over.
        assert_eq!((cloud.machines().len(), states), (1, vec![state.to_owned()]));
    }
}
