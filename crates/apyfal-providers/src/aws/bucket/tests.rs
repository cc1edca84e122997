use std::path::PathBuf;

use apyfal_core::Environment;
use apyfal_testkit::{Cloud, Fault};
use tempfile::TempDir;

use super::*;
use crate::aws::caller::Caller;
use crate::aws::testing::{api_of, environment, of_cloud};

/// The files of a test, and one in them with its digest.
fn file(len: usize) -> (TempDir, PathBuf, Vec<u8>, String) {
    let data: Vec<u8> = (0..len).map(|index| (index * index % 251) as u8).collect();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent");
    std::fs::write(&file, &data).unwrap();
    let sha256 = hex_sha256(&data);
    (directory, file, data, sha256)
}

async fn bucket(api: &Api) -> Bucket {
    Bucket::of(api, &Caller::of(api).await.unwrap().account).unwrap()
}

/// What whoever has no more than a URL gets.
async fn fetch(api: &Api, url: &str) -> (u16, Vec<u8>) {
    let answer = api.http.get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn a_file_is_sent_once_and_fetched_by_its_url() {
    let cloud = Cloud::start().unwrap();
    let api = api_of(&of_cloud(&cloud));
    let (_directory, file, data, sha256) = file(3 << 20);
    let bucket = bucket(&api).await;
    assert_eq!(&bucket.name, "apyfal-123456789012-eu-west-1");
    bucket.put(&file, &sha256).await.unwrap();
    bucket.put(&file, &sha256).await.unwrap();
    for (action, count) in
        [("CreateBucket", 1), ("PutPublicAccessBlock", 1), ("PutObject", 1), ("HeadObject", 3)]
    {
        assert_eq!(cloud.count(action), count, "{action}: {:?}", cloud.calls());
    }

    let signed = bucket.url(&sha256).await.unwrap();
    assert_eq!(signed.good_for, GOOD_FOR);
    assert!(!format!("{signed:?}").contains("Signature"));
    assert_eq!(fetch(&api, signed.url.expose()).await, (200, data));
    let other = signed.url.expose().replace(&sha256, &"0".repeat(64));
    assert_eq!(fetch(&api, &other).await.0, 403);
}

#[tokio::test]
async fn lost_answers_do_no_harm() {
    let cloud = Cloud::start().unwrap();
    let api = api_of(&of_cloud(&cloud));
    let (_directory, file, data, sha256) = file(100_000);
    for action in ["CreateBucket", "PutPublicAccessBlock", "PutObject", "HeadObject"] {
        cloud.fail(&Fault::of(action).times(1).lost());
    }
    cloud.fail(&Fault::of("PutObject").times(2).error("SlowDown", 503));
    let bucket = bucket(&api).await;
    bucket.put(&file, &sha256).await.unwrap();
    let signed = bucket.url(&sha256).await.unwrap();
    assert_eq!(fetch(&api, signed.url.expose()).await, (200, data));
}

#[tokio::test]
async fn nothing_is_put_into_the_bucket_of_others() {
    let cloud = Cloud::start().unwrap();
    let api = api_of(&of_cloud(&cloud));
    let (_directory, file, _, sha256) = file(10);
    let bucket = bucket(&api).await;
    cloud.take_bucket(&bucket.name);
    let error = bucket.put(&file, &sha256).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains("another account's"), "{error}");
    assert!(error.to_string().contains(&bucket.name), "{error}");
    assert_eq!(cloud.count("PutObject"), 0);
}

#[tokio::test]
async fn who_may_not_use_buckets_is_told_so() {
    let (_directory, file, _, sha256) = file(10);
    for (action, right) in [
        ("CreateBucket", "s3:CreateBucket"),
        ("PutObject", "s3:PutObject"),
        ("HeadObject", "s3:GetObject"),
        ("PutPublicAccessBlock", ""),
    ] {
        let cloud = Cloud::start().unwrap();
        let bucket = bucket(&api_of(&of_cloud(&cloud))).await;
        cloud.fail(&Fault::of(action).error("AccessDenied", 403).message("Access Denied"));
        match bucket.put(&file, &sha256).await {
            // It is closed without that.
            Ok(()) => assert!(right.is_empty(), "{action}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Security, "{error}");
                assert!(error.hints().iter().any(|hint| hint.contains(right)), "{error:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_as_it_is_said_is_refused() {
    let cloud = Cloud::start().unwrap();
    let bucket = bucket(&api_of(&of_cloud(&cloud))).await;
    let (directory, file, _, _) = file(10);
    bucket.put(&file, &"0".repeat(64)).await.unwrap_err();
    assert_eq!(bucket.put(&file, "0").await.unwrap_err().kind(), ErrorKind::Usage);
    let error = bucket.put(&directory.path().join("none"), &"0".repeat(64)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageNotFound);
    assert_eq!(cloud.count("PutObject"), 1);
}

#[tokio::test]
async fn a_url_is_of_the_bucket_and_ends_with_its_credentials() {
    let home = tempfile::tempdir().unwrap();
    let end = (Timestamp::now() + Duration::from_secs(1800)).format_rfc3339_zulu();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let config = format!(
        "[default]\ncredential_process = echo '{{\"Version\": 1, \"AccessKeyId\": \"AKIDTEMPORARY\", \
         \"SecretAccessKey\": \"s\", \"SessionToken\": \"to/ken\", \"Expiration\": \"{end}\"}}'\n"
    );
    std::fs::write(home.path().join(".aws/config"), config).unwrap();
    let unset = ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"].map(|name| (name, ""));
    let environment = environment("", &unset);
    let api = api_of(&Environment { home: Some(home.path().into()), ..environment });
    let account = HeaderValue::from_static("123456789012");
    let bucket = Bucket { api, name: "apyfal-1-x".to_owned(), account };
    let signed = bucket.url("abc").await.unwrap();
    let url = signed.url.expose();
    assert!(url.starts_with("https://apyfal-1-x.s3.eu-west-1.amazonaws.com/sha256/abc?"), "{url}");
    assert!(url.contains("X-Amz-Security-Token=to%2Fken"), "{url}");
    assert!(url.contains(&format!("X-Amz-Expires={}", signed.good_for.as_secs())), "{url}");
    assert!(signed.good_for <= Duration::from_secs(1799) && signed.good_for > TOO_SHORT);
}
