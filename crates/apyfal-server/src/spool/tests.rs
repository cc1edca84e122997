use futures::StreamExt;

use super::*;

fn write_all(writer: &mut SpoolWriter, mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        match writer.write(data) {
            Ok(count) => data = &data[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn scratch(quota: u64) -> (tempfile::TempDir, Arc<Scratch>) {
    let root = tempfile::tempdir().unwrap();
    let scratch = Scratch::open(root.path(), quota).unwrap();
    (root, scratch)
}

async fn collect(mut reader: SpoolReader) -> (Vec<u8>, Result<Report>) {
    let mut data = Vec::new();
    loop {
        match reader.next().await.unwrap() {
            Piece::Data(block) => data.extend_from_slice(&block),
            Piece::End(result) => return (data, *result),
        }
    }
}

#[tokio::test]
async fn a_client_that_reads_late_gets_everything() {
    let (_root, scratch) = scratch(u64::MAX);
    let data: Vec<u8> = (0..5_000_003_u32).map(|n| (n % 251) as u8).collect();
    let (mut writer, end, reader) = spool(&scratch, Holder::anyone(1));
    let sent = data.clone();
    tokio::task::spawn_blocking(move || write_all(&mut writer, &sent)).await.unwrap().unwrap();
    assert!(scratch.used() > 4_000_000);
    end.end(Ok(Report::default()));
    assert!(reader.head(0).await);
    let (received, result) = collect(reader).await;
    assert!(received == data && result.is_ok());
    assert_eq!(scratch.used(), 0);
}

#[tokio::test]
async fn a_client_that_reads_along_needs_no_disk() {
    let (_root, scratch) = scratch(0);
    let (mut writer, end, reader) = spool(&scratch, Holder::anyone(1));
    let writing = tokio::task::spawn_blocking(move || {
        let written = write_all(&mut writer, &vec![7; 20_000_000]);
        drop(writer);
        end.end(Ok(Report::default()));
        written
    });
    assert!(!reader.head(1000).await);
    let (received, result) = collect(reader).await;
    assert!(received.len() == 20_000_000 && result.is_ok());
    writing.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_full_scratch_fails_the_job_and_a_gone_client_ends_it() {
    let (_root, scratch) = scratch(100);
    let (mut writer, _end, reader) = spool(&scratch, Holder::anyone(1));
    let (writer, error) = tokio::task::spawn_blocking(move || {
        let error = write_all(&mut writer, &vec![7; 2_000_000]).unwrap_err();
        (writer, error)
    })
    .await
    .unwrap();
    assert_eq!(Error::from(error).kind(), ErrorKind::StorageFull);
    drop(reader);
    let mut writer = writer;
    let error = write_all(&mut writer, &vec![7; 2_000_000]).unwrap_err();
    assert!(Error::from(error).is_cancelled());
}

#[tokio::test]
async fn a_job_that_is_lost_is_an_error() {
    let (_root, scratch) = scratch(100);
    let (writer, end, reader) = spool(&scratch, Holder::anyone(1));
    drop((writer, end));
    assert!(reader.head(0).await);
    assert_eq!(reader.into_whole().0.unwrap_err().kind(), ErrorKind::Internal);
}
