//! Key pairs of moto.

use std::fs;

use super::*;
use crate::aws::cloud::{Cloud, params, refusal};

fn wishes(home: &tempfile::TempDir) -> KeyWishes {
    KeyWishes {
        name: "AccelizeAWSKeyPair".to_owned(),
        is_given: false,
        directory: home.path().join(".ssh"),
        installation: "one".to_owned(),
    }
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// The public part of a file, as ssh says it.
fn public(key: &KeyPair) -> KeyData {
    let text = fs::read_to_string(key.private_key.as_ref().unwrap()).unwrap();
    private::public_of(&text).unwrap().0
}

async fn of_account(api: &Api, name: &str) -> KeyData {
    let pairs = described(api).await.unwrap();
    pairs.into_iter().find(|pair| pair.name == name).unwrap().public.unwrap()
}

#[tokio::test]
async fn from_nothing_and_a_second_time() {
    let (cloud, home) = (Cloud::start(), home());
    let api = cloud.api();
    let wishes = wishes(&home);
    let (made, actions) = cloud.actions(key_pair(&api, &wishes)).await;
    let made = made.unwrap();
    assert_eq!(actions, ["DescribeKeyPairs", "ImportKeyPair"]);
    assert_eq!(made.name, "AccelizeAWSKeyPair");
    assert_eq!(made.private_key, Some(wishes.directory.join("AccelizeAWSKeyPair.pem")));
    assert_eq!(of_account(&api, &made.name).await, public(&made));
    let tagged = api.ec2_all("DescribeKeyPairs", &params(&[]), "keySet").await.unwrap();
    assert_eq!(tagged[0].tag("apyfal:installation"), Some("one"));

    let lower = KeyWishes { name: "accelizeawskeypair".to_owned(), ..wishes.clone() };
    for wishes in [wishes, lower] {
        let (again, actions) = cloud.actions(key_pair(&api, &wishes)).await;
        assert_eq!(again.unwrap(), made);
        assert_eq!(actions, ["DescribeKeyPairs"]);
    }
}

#[tokio::test]
async fn a_key_that_ec2_made_is_known_by_its_file() {
    let (cloud, home) = (Cloud::start(), home());
    let api = cloud.api();
    let wishes = wishes(&home);
    for (name, kind) in [("ACCELIZEawsKeyPair", "rsa"), ("other", "ed25519")] {
        let of_ec2 = params(&[("KeyName", name), ("KeyType", kind)]);
        let made = api.ec2("CreateKeyPair", &of_ec2).await.unwrap();
        fs::create_dir_all(&wishes.directory).unwrap();
        let path = wishes.directory.join("anything");
        fs::write(&path, made.text("keyMaterial").unwrap()).unwrap();
        let wishes = KeyWishes { name: name.to_owned(), ..wishes.clone() };
        let (found, actions) = cloud.actions(key_pair(&api, &wishes)).await;
        assert_eq!(found.unwrap(), KeyPair { name: name.to_owned(), private_key: Some(path) });
        assert_eq!(actions, ["DescribeKeyPairs"]);
    }
}

#[tokio::test]
async fn where_the_name_has_another_key_ours_has_another_name() {
    let (cloud, home) = (Cloud::start(), home());
    let api = cloud.api();
    let wishes = wishes(&home);
    let foreign = params(&[("KeyName", "accelizeAWSkeypair"), ("KeyType", "ed25519")]);
    api.ec2("CreateKeyPair", &foreign).await.unwrap();
    let made = key_pair(&api, &wishes).await.unwrap();
    assert_eq!(made.name, own_name("AccelizeAWSKeyPair", &public(&made)));
    assert_eq!(of_account(&api, &made.name).await, public(&made));
    let (again, actions) = cloud.actions(key_pair(&api, &wishes)).await;
    assert_eq!((again.unwrap(), actions.len()), (made, 1));
}

#[tokio::test]
async fn a_file_without_its_key_pair_is_imported() {
    let (cloud, elsewhere, home) = (Cloud::start(), Cloud::start(), home());
    let first = key_pair(&elsewhere.api(), &wishes(&home)).await.unwrap();
    // In another region, and where a process was killed before it imported it.
    assert_eq!(key_pair(&cloud.api(), &wishes(&home)).await.unwrap(), first);
    assert_eq!(of_account(&cloud.api(), &first.name).await, public(&first));
}

#[tokio::test]
async fn two_at_the_same_time_have_keys_that_work() {
    let (cloud, home, other) = (Cloud::start(), home(), self::home());
    let api = cloud.api();
    let (of_one, of_other) = (wishes(&home), wishes(&other));
    // Twice this user, and one of another machine.
    let (one, two, three) =
        tokio::join!(key_pair(&api, &of_one), key_pair(&api, &of_one), key_pair(&api, &of_other));
    let (one, two, three) = (one.unwrap(), two.unwrap(), three.unwrap());
    assert_eq!(one, two);
    assert_ne!(one.name, three.name);
    for key in [one, three] {
        assert_eq!(of_account(&api, &key.name).await, public(&key));
    }
}

#[tokio::test]
async fn nothing_is_imported_whose_private_key_is_lost() {
    let (cloud, home) = (Cloud::start(), home());
    let wishes = wishes(&home);
    fs::write(&wishes.directory, "a file").unwrap();
    let (refused, actions) = cloud.actions(key_pair(&cloud.api(), &wishes)).await;
    let error = refused.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot set up the key pair 'AccelizeAWSKeyPair': cannot "),
        "{error}"
    );
    assert!(!actions.contains(&"ImportKeyPair".to_owned()));

    let denied = Cloud::with(|asked| {
        (asked["Action"] == "ImportKeyPair").then(|| refusal(403, "UnauthorizedOperation"))
    });
    let wishes = self::wishes(&self::home());
    assert!(key_pair(&denied.api(), &wishes).await.is_err());
}

#[tokio::test]
async fn an_answer_that_is_lost_changes_nothing() {
    let (cloud, home) = (Cloud::start(), home());
    let api = cloud.api();
    let wishes = KeyWishes { name: "OfLostAnswers".to_owned(), ..wishes(&home) };
    cloud.lose("ImportKeyPair", "KeyName", "OfLostAnswers");
    let made = key_pair(&api, &wishes).await.unwrap();
    assert_eq!(made.name, "OfLostAnswers");
    assert_eq!(of_account(&api, &made.name).await, public(&made));
}

#[tokio::test]
async fn one_that_is_given_is_used_whoever_has_its_private_key() {
    let (cloud, home) = (Cloud::start(), home());
    let api = cloud.api();
    let given = |name: &str| KeyWishes { name: name.to_owned(), is_given: true, ..wishes(&home) };
    let theirs = params(&[("KeyName", "theirs"), ("KeyType", "ed25519")]);
    api.ec2("CreateKeyPair", &theirs).await.unwrap();
    let (found, actions) = cloud.actions(key_pair(&api, &given("theirs"))).await;
    assert_eq!(found.unwrap(), KeyPair { name: "theirs".to_owned(), private_key: None });
    assert_eq!(actions, ["DescribeKeyPairs"]);
    let ours = key_pair(&api, &wishes(&home)).await.unwrap();
    assert_eq!(key_pair(&api, &given(&ours.name)).await.unwrap(), ours);
    let error = key_pair(&api, &given("nobodys")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("no such key pair"), "{error}");
}

#[tokio::test]
async fn nothing_is_imported_whose_private_key_cannot_be_written() {
    let (cloud, home) = (Cloud::start(), home());
    fs::write(home.path().join(".ssh"), "no directory").unwrap();
    let (made, actions) = cloud.actions(key_pair(&cloud.api(), &wishes(&home))).await;
    let error = made.unwrap_err();
    assert!(error.to_string().contains("/.ssh"), "{error}");
    assert!(!actions.contains(&"ImportKeyPair".to_owned()), "{actions:?}");
}
