use std::io::Write;

use super::*;

#[test]
fn the_quota_counts_what_is_there() {
    let root = tempfile::tempdir().unwrap();
    let scratch = Scratch::open(root.path(), 10).unwrap();
    let mut file = scratch.file(None).unwrap();
    file.write_all(b"123456").unwrap();
    let mut kept = scratch.keep("a", 1).unwrap();
    let error = Error::from(kept.write_all(b"12345").unwrap_err());
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    drop(file);
    kept.write_all(b"12345").unwrap();
    assert_eq!(kept.finish(false).unwrap(), 5);
    assert_eq!(scratch.used(), 5);

    let again = Scratch::open(root.path(), 10).unwrap();
    assert_eq!((again.used(), again.results.load(Ordering::Relaxed)), (5, 1));
    assert_eq!(again.kept("a", 1).unwrap().1, 5);
    again.remove("a", 1);
    again.remove("a", 1);
    assert_eq!((again.used(), again.results.load(Ordering::Relaxed)), (0, 0));
    assert_eq!(again.kept("a", 1).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_result_is_that_of_a_job_and_not_of_an_id() {
    let root = tempfile::tempdir().unwrap();
    let scratch = Scratch::open(root.path(), 100).unwrap();
    let keep = |id: &str, number, text: &[u8]| {
        let mut kept = scratch.keep(id, number).unwrap();
        kept.write_all(text).unwrap();
        kept.finish(false).unwrap()
    };
    keep("mine", 1, b"first");
    keep("mine", 2, b"second one");
    keep("job-3", 3, b"third");
    assert_eq!(scratch.kept("mine", 1).unwrap().1, 5);
    scratch.remove("mine", 1);
    assert_eq!(scratch.kept("mine", 2).unwrap().1, 10);
    assert_eq!(scratch.kept("mine", 1).unwrap_err().kind(), ErrorKind::NotFound);
    // Those of a host of before.
    fs::write(root.path().join("results/other"), "before").unwrap();
    scratch.take_up("other", 4);
    scratch.take_up("job-3", 3);
    assert_eq!(scratch.kept("other", 4).unwrap().1, 6);
    assert_eq!(scratch.kept("job-3", 3).unwrap().1, 5);
}

#[test]
fn what_the_journal_does_not_know_stays_while_there_is_room() {
    let root = tempfile::tempdir().unwrap();
    let scratch = Scratch::open(root.path(), 100).unwrap();
    for (id, number) in [("known", 1), ("first", 2), ("second", 3)] {
        let mut kept = scratch.keep(id, number).unwrap();
        kept.write_all(&[0; 30]).unwrap();
        kept.finish(false).unwrap();
    }
    assert_eq!(scratch.set_aside(|name| name == "job-2.first", 10.0).unwrap(), 1);
    assert_eq!(scratch.set_aside(|name| name == "job-3.second", 20.0).unwrap(), 1);
    let names = |scratch: &Scratch| {
        let aside = scratch.set_aside_before().unwrap().into_iter();
        aside.map(|(_, since, name)| (since, name)).collect::<Vec<_>>()
    };
    let [first, second] = [(10.0, "job-2.first".to_owned()), (20.0, "job-3.second".to_owned())];
    assert_eq!(names(&scratch), [first, second.clone()]);
    assert_eq!((scratch.used(), scratch.results.load(Ordering::Relaxed)), (90, 1));
    // The oldest makes room, and no more than must.
    let scratch = Scratch::open(root.path(), 100).unwrap();
    scratch.file(None).unwrap().write_all(&[0; 40]).unwrap();
    assert_eq!(names(&scratch), [second]);
    let mut more = scratch.file(None).unwrap();
    assert!(more.write_all(&[0; 80]).is_err(), "what is kept is not given up");
    assert_eq!((names(&scratch).len(), scratch.used()), (0, 30));
    // It ends with its time, and begins anew where the journal is another one.
    assert_eq!(scratch.set_aside(|_| true, 50.0).unwrap(), 1);
    assert_eq!(scratch.set_aside(|_| true, 5.0).unwrap(), 0);
    assert_eq!(names(&scratch), [(5.0, "job-1.known".to_owned())]);
    scratch.expire_aside(4.0);
    assert_eq!(names(&scratch).len(), 1);
    scratch.expire_aside(5.0);
    assert_eq!((names(&scratch).len(), scratch.used()), (0, 0));
}

#[test]
fn the_disk_is_never_filled() {
    let root = tempfile::tempdir().unwrap();
    let scratch = Scratch::open(root.path(), u64::MAX).unwrap();
    assert!(scratch.reserve > 0 && scratch.reserve <= RESERVE);
    let mut file = scratch.file(None).unwrap();
    file.write_all(b"123456").unwrap();
    // As if others had taken all but this.
    let mut full = Scratch::open(root.path(), u64::MAX).unwrap();
    Arc::get_mut(&mut full).unwrap().reserve = u64::MAX;
    for refused in [
        full.check_room().unwrap_err(),
        full.keep("a", 1).unwrap_err(),
        full.file(None).unwrap_err().into(),
    ] {
        assert_eq!(refused.kind(), ErrorKind::StorageFull, "{refused}");
        assert!(refused.to_string().contains("the disk of the host is full"), "{refused}");
    }
    assert_eq!((full.used(), full.results.load(Ordering::Relaxed)), (0, 0));
}

#[test]
fn what_is_not_finished_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let scratch = Scratch::open(root.path(), 10).unwrap();
    scratch.keep("a", 1).unwrap().write_all(b"123").unwrap();
    assert_eq!((scratch.used(), scratch.results.load(Ordering::Relaxed)), (0, 0));
}

#[test]
fn who_holds_most_makes_room_for_others() {
    let root = tempfile::tempdir().unwrap();
    let scratch = Scratch::open(root.path(), 1000).unwrap();
    let write = |file: &mut ScratchFile, bytes| file.write_all(&vec![7; bytes]);
    let mut first = scratch.file(Some(Holder::anyone(1))).unwrap();
    let mut also_first = scratch.file(Some(Holder::anyone(1))).unwrap();
    // Alone it may take everything, and no more.
    write(&mut first, 600).unwrap();
    write(&mut also_first, 400).unwrap();
    let error = Error::from(write(&mut first, 1).unwrap_err());
    assert!(error.message().contains("scratch space is full"), "{error}");
    let mut second = scratch.file(Some(Holder::anyone(2))).unwrap();
    write(&mut second, 10).unwrap();
    assert_eq!((scratch.used(), first.file().metadata().unwrap().len()), (10, 0));
    for lost in [&mut first, &mut also_first] {
        let error = Error::from(write(lost, 1).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(error.message().starts_with("others needed the space"), "{error}");
        assert!(lost.read_exact_at(&mut [0; 10], 0).is_err());
    }
    drop((first, also_first));
    write(&mut second, 490).unwrap();
    let mut third = scratch.file(Some(Holder::anyone(3))).unwrap();
    write(&mut third, 500).unwrap();
    // Both have their share, so nobody gets more.
    assert!(write(&mut third, 1).is_err() && write(&mut second, 1).is_err());
    // What is kept was promised.
    let mut kept = scratch.keep("a", 1).unwrap();
    kept.write_all(&[0; 300]).unwrap();
    assert!(second.check().is_err() ^ third.check().is_err());
    drop((second, third));
    let mut fourth = scratch.file(Some(Holder::anyone(4))).unwrap();
    assert!(write(&mut fourth, 800).is_err());
    write(&mut fourth, 700).unwrap();
    drop((kept, fourth));
    assert_eq!(scratch.used(), 0);
}
