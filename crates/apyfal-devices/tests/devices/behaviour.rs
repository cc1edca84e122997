//! What every kind of device does in the same way.

use std::sync::Arc;
use std::time::Duration;

use apyfal_core::{Cancel, ErrorKind};
use apyfal_devices::{Access, Kind, Tools, detect, device};

use crate::stand::{SHORT, Stand, each, group_runs, until};

#[test]
fn an_image_is_loaded_once_and_found_again() {
    each(|kind| {
        let stand = Stand::new(kind, 1);
        let slot = Stand::names(kind)[0];
        let guard = stand.acquire("a").unwrap();
        assert_eq!(guard.slot(), slot);
        assert!(guard.was_loaded());
        assert_eq!(
            guard.variables(),
            [("APYFAL_DEVICE", kind.name().to_owned()), ("APYFAL_SLOT", slot.to_owned())]
        );
        guard.finish().unwrap();
        assert_eq!(stand.loaded(slot).as_deref(), Some(stand.image("a").id()));
        assert_eq!(stand.changes(), ["load"]);
        let guard = stand.acquire("a").unwrap();
        assert!(!guard.was_loaded());
        guard.finish().unwrap();
        assert_eq!(stand.changes(), [""; 0]);
        stand.acquire("b").unwrap().finish().unwrap();
        assert_eq!(stand.loaded(slot).as_deref(), Some(stand.image("b").id()));
        assert_eq!(stand.changes(), ["load"]);
    });
}

#[test]
fn the_slot_that_has_the_image_is_preferred_then_an_empty_one() {
    each(|kind| {
        let stand = Stand::new(kind, 2);
        let [first, second] = Stand::names(kind);
        let a = stand.acquire("a").unwrap();
        let b = stand.acquire("b").unwrap();
        assert_eq!((a.slot(), b.slot()), (first, second));
        a.finish().unwrap();
        b.finish().unwrap();
        stand.changes();
        let b = stand.acquire("b").unwrap();
        assert_eq!((b.slot(), b.was_loaded()), (second, false));
        b.finish().unwrap();
        assert_eq!(stand.changes(), [""; 0]);
    });
}

#[test]
fn what_a_job_left_behind_is_cleared_before_the_next() {
    each(|kind| {
        let stand = Stand::new(kind, 1);
        let slot = Stand::names(kind)[0];
        let guard = stand.acquire("a").unwrap();
        stand.tell(&format!("used-{slot}"), "");
        drop(guard);
        stand.changes();
        let seen = &stand.pool().look(&Cancel::default()).unwrap()[0];
        assert!(seen.is_left_over(), "{seen:?}");
        // Also where the image is the right one.
        stand.acquire("a").unwrap().finish().unwrap();
        assert_eq!(stand.changes(), stand.clear_and_load());
        assert!(!stand.path(&format!("state/used-{slot}")).exists());
        assert!(!stand.pool().look(&Cancel::default()).unwrap()[0].is_left_over());
    });
}

#[test]
fn what_nobody_knows_of_is_cleared_too() {
    each(|kind| {
        let stand = Stand::new(kind, 1);
        let slot = Stand::names(kind)[0];
        stand.acquire("a").unwrap().finish().unwrap();
        std::fs::remove_dir_all(stand.path("locks")).unwrap();
        std::fs::create_dir(stand.path("locks")).unwrap();
        stand.tell(&format!("used-{slot}"), "");
        stand.changes();
        stand.acquire("a").unwrap().finish().unwrap();
        assert_eq!(stand.changes(), stand.clear_and_load());
        assert!(!stand.path(&format!("state/used-{slot}")).exists());
    });
}

#[test]
fn somebody_elses_image_is_noticed() {
    each(|kind| {
        let stand = Stand::new(kind, 1);
        let slot = Stand::names(kind)[0];
        stand.acquire("a").unwrap().finish().unwrap();
        let past = stand.device(&Access::Direct);
        past.load(slot, &stand.image("b"), &Cancel::default()).unwrap();
        assert!(stand.acquire("a").unwrap().was_loaded());
        assert_eq!(stand.loaded(slot).as_deref(), Some(stand.image("a").id()));
    });
}

#[test]
fn a_tool_that_fails_is_quoted_and_leaves_nothing() {
    each(|kind| {
        let stand = Stand::new(kind, 1);
        let slot = Stand::names(kind)[0];
        stand.tell("fail-load", "Error: (17) power-violation\n");
        let error = stand.acquire("a").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Engine);
        let text = error.to_string();
        let doing = format!("cannot load '{}' into slot {slot}", stand.image("a").id());
        assert!(text.starts_with(&doing), "{text}");
        assert!(text.contains("power-violation") && text.contains("status 5"), "{text}");
        if kind != Kind::Opae {
            assert_eq!(stand.loaded(slot), None);
        }
        stand.untell("fail-load");
        stand.acquire("a").unwrap().finish().unwrap();
        assert_eq!(stand.loaded(slot).as_deref(), Some(stand.image("a").id()));
    });
}

#[test]
fn a_tool_that_hangs_is_killed_with_all_it_started() {
    each(|kind| {
        let mut stand = Stand::new(kind, 1);
        let slot = Stand::names(kind)[0];
        stand.limit = SHORT;
        stand.tell("hang-load", "");
        let error = stand.acquire("a").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(error.to_string().contains("was killed"), "{error}");
        let [tool] = stand.hanging()[..] else { panic!("{:?}", stand.hanging()) };
        until("the tool is gone", || !group_runs(tool));
        if kind != Kind::Opae {
            assert_eq!(stand.loaded(slot), None);
        }
        stand.untell("hang-load");
        stand.changes();
        stand.acquire("a").unwrap().finish().unwrap();
        assert_eq!(stand.changes(), ["load"]);
    });
}

#[test]
fn a_card_that_cannot_be_cleared_stays_out_of_use() {
    for kind in [Kind::AwsF2, Kind::Xrt] {
        let stand = Stand::new(kind, 1);
        drop(stand.acquire("a").unwrap());
        stand.tell("fail-clear", "Error: (19) hardware-busy\n");
        for _ in 0..2 {
            let error = stand.acquire("a").unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with("cannot clear slot"), "{text}");
        }
        stand.untell("fail-clear");
        stand.changes();
        stand.acquire("a").unwrap().finish().unwrap();
        assert_eq!(stand.changes(), stand.clear_and_load());
    }
}

#[test]
fn another_image_than_the_one_asked_for_is_an_error() {
    each(|kind| {
        let stand = Stand::new(kind, 1);
        stand.tell("wrong", stand.image("b").id());
        let error = stand.acquire("a").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Engine);
        let text = error.to_string();
        assert!(text.contains(stand.image("a").id()), "{text}");
        assert!(text.contains(&format!("then has '{}'", stand.image("b").id())), "{text}");
    });
}

#[test]
fn a_card_that_failed_is_not_tried_before_a_good_one() {
    let stand = Stand::new(Kind::AwsF2, 2);
    stand.tell("fail-load", "");
    stand.tell("fail-clear", "");
    stand.acquire("a").unwrap_err();
    stand.untell("fail-load");
    let guard = stand.acquire("a").unwrap();
    assert_eq!(guard.slot(), "1");
    guard.finish().unwrap();
}

#[test]
fn who_waits_too_long_is_told_who_has_the_slots() {
    each(|kind| {
        let stand = Stand::new(kind, 1);
        let guard = stand.acquire("a").unwrap();
        let pool = stand.pool_by(&Access::Direct, Duration::ZERO);
        let error = pool.acquire(&stand.image("a"), &Cancel::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert!(error.is_retryable());
        let by = format!("gzip_fpga, process {}", std::process::id());
        assert!(error.to_string().contains(&by), "{error}");
        let seen = &pool.look(&Cancel::default()).unwrap()[0];
        assert!(seen.in_use && !seen.is_left_over());
        let cancel = Cancel::default();
        cancel.cancel();
        assert!(stand.pool().acquire(&stand.image("a"), &cancel).unwrap_err().is_cancelled());
        guard.finish().unwrap();
        pool.acquire(&stand.image("a"), &Cancel::default()).unwrap().finish().unwrap();
    });
}

#[test]
fn who_gives_up_does_not_wait_for_the_tool() {
    let stand = Stand::new(Kind::AwsF2, 1);
    stand.tell("hang-load", "");
    let (pool, cancel) = (stand.pool(), Cancel::default());
    std::thread::scope(|scope| {
        let job = scope.spawn(|| pool.acquire(&stand.image("a"), &cancel));
        until("the tool hangs", || !stand.hanging().is_empty());
        cancel.cancel();
        assert!(job.join().unwrap().unwrap_err().is_cancelled());
    });
    assert!(!group_runs(stand.hanging()[0]));
    stand.untell("hang-load");
    stand.changes();
    stand.acquire("a").unwrap().finish().unwrap();
    assert_eq!(stand.changes(), ["clear", "load"]);
}

#[test]
fn the_next_image_is_fetched_while_a_job_runs() {
    let stand = Stand::new(Kind::AwsF2, 1);
    let a = stand.acquire("a").unwrap();
    stand.changes();
    let pool = Arc::new(stand.pool());
    std::thread::scope(|scope| {
        let next = scope.spawn(|| pool.acquire(&stand.image("b"), &Cancel::default()));
        until("it is fetched", || stand.path("state/cached").exists());
        assert_eq!(stand.loaded("0").as_deref(), Some(stand.image("a").id()));
        a.finish().unwrap();
        next.join().unwrap().unwrap().finish().unwrap();
    });
    assert_eq!(stand.changes(), ["prefetch", "load"]);
    let mut b = stand.acquire("b").unwrap();
    b.prefetch(&stand.image("a"));
    until("it is fetched", || stand.changes() == ["prefetch"]);
    b.finish().unwrap();
}

#[test]
fn one_tool_at_a_time_works_on_a_slot() {
    let stand = Stand::new(Kind::AwsF2, 1);
    stand.tell("watch", "");
    let never = Cancel::default();
    std::thread::scope(|scope| {
        for name in ["a", "b", "a"] {
            let stand = &stand;
            scope.spawn(move || stand.acquire(name).unwrap().finish().unwrap());
        }
        for _ in 0..4 {
            for state in stand.pool().look(&never).unwrap() {
                state.loaded.unwrap();
            }
        }
    });
    let overlap = std::fs::read_to_string(stand.path("state/overlap")).unwrap_or_default();
    assert_eq!(overlap, "");
}

#[test]
fn only_devices_whose_tools_are_here_are_found() {
    each(|kind| {
        let stand = Stand::new(kind, 1);
        let found = detect(&stand.tools(), &Access::Direct);
        assert_eq!(found.iter().map(|device| device.kind()).collect::<Vec<_>>(), [kind]);
        let nothing = Tools::new("/nonexistent");
        assert!(detect(&nothing, &Access::Direct).is_empty());
        let none = device(kind, &nothing, &Access::Direct);
        let error = none.slots(&Cancel::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("there is no program '"), "{error}");
    });
    // The name that the tool of XRT had before.
    let stand = Stand::new(Kind::Xrt, 1);
    std::fs::rename(stand.path("bin/xrt-smi"), stand.path("bin/xbutil")).unwrap();
    stand.acquire("a").unwrap().finish().unwrap();
}
