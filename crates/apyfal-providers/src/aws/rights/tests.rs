//! Rights in the account of moto, which all tests share: so each has names of its own.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::aws::cloud::{Asked, Cloud, refusal};
use crate::aws::settings::Buckets;

/// Names with a start of their own, of rights to use FPGAs and one bucket.
fn wishes(start: &str) -> RightsWishes {
    let buckets = Buckets::Named(vec!["data".to_owned()]);
    RightsWishes {
        role: format!("{start}Role"),
        policy: format!("{start}Policy"),
        profile: format!("{start}LoadFPGA"),
        policy_document: document::of_host("eu-west-1", true, &buckets),
        trust_document: document::of_trust("eu-west-1"),
        installation: "one".to_owned(),
    }
}

const LOOKS: [&str; 5] = [
    "GetInstanceProfile",
    "GetPolicyVersion",
    "GetRole",
    "ListAttachedRolePolicies",
    "ListPolicies",
];

fn sorted(mut actions: Vec<String>) -> Vec<String> {
    actions.sort_unstable();
    actions
}

/// The document of a policy, and how many versions it has.
async fn policy(api: &Api, name: &str) -> (Value, usize) {
    let policies = api.iam_all("ListPolicies", &params(&[("Scope", "Local")]), "Policies").await;
    let policies = policies.unwrap();
    let policy = policies.iter().find(|policy| policy.text("PolicyName") == Some(name)).unwrap();
    let (arn, version) = (policy.text("Arn").unwrap(), policy.text("DefaultVersionId").unwrap());
    let version = params(&[("PolicyArn", arn), ("VersionId", version)]);
    let said = api.iam("GetPolicyVersion", &version).await.unwrap();
    let said = said.text("GetPolicyVersionResult/PolicyVersion/Document").unwrap();
    let all = api.iam_all("ListPolicyVersions", &params(&[("PolicyArn", arn)]), "Versions").await;
    (document::read(said).unwrap(), all.unwrap().len())
}

/// The role of an instance profile, and the policies of that.
async fn given(api: &Api, profile: &str) -> (String, Vec<String>) {
    let params = params(&[("InstanceProfileName", profile)]);
    let found = api.iam("GetInstanceProfile", &params).await.unwrap();
    let role = found.items("GetInstanceProfileResult/InstanceProfile/Roles").next().unwrap();
    let role = role.text("RoleName").unwrap().to_owned();
    let attached = super::params(&[("RoleName", &role)]);
    let attached = api.iam("ListAttachedRolePolicies", &attached).await.unwrap();
    let attached = attached.items("ListAttachedRolePoliciesResult/AttachedPolicies");
    (role, attached.map(|policy| policy.text("PolicyName").unwrap().to_owned()).collect())
}

#[tokio::test]
async fn from_nothing_and_a_second_time() {
    let cloud = Cloud::global(|_| None);
    let api = cloud.api();
    let wishes = wishes("Nothing");
    let (made, actions) = cloud.actions(rights(&api, &wishes)).await;
    let made = made.unwrap();
    assert_eq!(made.profile, "NothingLoadFPGA");
    assert_eq!(made.warnings, Vec::<String>::new());
    let changes =
        actions.iter().filter(|name| !name.starts_with("Get") && !name.starts_with("List"));
    assert_eq!(
        sorted(changes.cloned().collect()),
        [
            "AddRoleToInstanceProfile",
            "AttachRolePolicy",
            "CreateInstanceProfile",
            "CreatePolicy",
            "CreateRole",
        ]
    );
    let expected = ("NothingRole".to_owned(), vec!["NothingPolicy".to_owned()]);
    assert_eq!(given(&api, "NothingLoadFPGA").await, expected);
    assert_eq!(policy(&api, "NothingPolicy").await, (wishes.policy_document.clone().unwrap(), 1));

    let (again, actions) = cloud.actions(rights(&api, &wishes)).await;
    assert_eq!(again.unwrap(), made);
    assert_eq!(sorted(actions), LOOKS);

    let other_case = RightsWishes {
        role: "NOTHINGrole".to_owned(),
        policy: "nothingPOLICY".to_owned(),
        profile: "nothingloadfpga".to_owned(),
        ..wishes
    };
    let (again, actions) = cloud.actions(rights(&api, &other_case)).await;
    assert_eq!(again.unwrap(), made);
    assert!(
        actions.iter().all(|name| name.starts_with("Get") || name.starts_with("List")),
        "{actions:?}"
    );
}

#[tokio::test]
async fn two_at_the_same_time_have_the_same() {
    let cloud = Cloud::global(|_| None);
    let api = cloud.api();
    let wishes = wishes("Two");
    let (one, two) = tokio::join!(rights(&api, &wishes), rights(&api, &wishes));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.profile, two.profile);
    assert_eq!(given(&api, "TwoLoadFPGA").await.1, ["TwoPolicy"]);
}

/// Two that need a bucket each at the same time, of which neither changes anything before the other one is about
/// to do the same.
async fn at_once(start: &str, before: bool, action: &'static str) -> (Value, Value) {
    let (arrived, both) = (AtomicUsize::new(0), Barrier::new(2));
    let name = format!("{start}Policy");
    let is_meant = move |asked: &Asked| {
        let mut values = asked.values();
        asked["Action"] == action && values.any(|value| value.ends_with(&name))
    };
    let cloud = Cloud::global(move |asked| {
        if is_meant(asked) && arrived.fetch_add(1, Ordering::SeqCst) < 2 {
            both.wait();
        }
        None
    });
    let api = cloud.api();
    let needing = |buckets: &[&str]| {
        let names = Buckets::Named(buckets.iter().map(|name| (*name).to_owned()).collect());
        let policy_document = document::of_host("eu-west-1", false, &names);
        RightsWishes { policy_document, ..wishes(start) }
    };
    if before {
        rights(&api, &needing(&["first"])).await.unwrap();
    }
    let (one, other) = (needing(&["one"]), needing(&["other"]));
    let (one, other) = tokio::join!(rights(&api, &one), rights(&api, &other));
    assert_eq!((one.unwrap().warnings.len(), other.unwrap().warnings.len()), (0, 0));
    let [first, one, other] = ["first", "one", "other"].map(|name| {
        let said = document::of_host("eu-west-1", false, &Buckets::Named(vec![name.to_owned()]));
        said.unwrap()
    });
    let whole = document::joined(Some(&one), &other);
    let expected = if before { document::joined(Some(&first), &whole) } else { whole };
    let said = policy(&api, &format!("{start}Policy")).await.0;
    let grown = document::joined(Some(&said), &expected);
    (said, grown)
}

#[tokio::test]
async fn two_that_make_a_policy_at_once_both_find_in_it_what_they_need() {
    let (said, expected) = at_once("Made", false, "CreatePolicy").await;
    assert_eq!(said, expected);
}

#[tokio::test]
async fn two_that_let_a_policy_grow_at_once_lose_nothing() {
    let (said, expected) = at_once("Grown", true, "CreatePolicyVersion").await;
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_role_alone_has_no_policy() {
    let cloud = Cloud::global(|_| None);
    let api = cloud.api();
    let wishes = RightsWishes { policy_document: None, ..wishes("Alone") };
    let made = rights(&api, &wishes).await.unwrap();
    assert_eq!(given(&api, &made.profile).await, ("AloneRole".to_owned(), Vec::new()));
}

#[tokio::test]
async fn our_own_policy_grows_with_what_is_needed() {
    let cloud = Cloud::global(|_| None);
    let api = cloud.api();
    let mut wishes = wishes("Own");
    rights(&api, &wishes).await.unwrap();
    let mut names = vec!["data".to_owned()];
    // There are five versions at most.
    for number in 0..7 {
        names.push(format!("bucket-{number}"));
        let buckets = Buckets::Named(names[number + 1..].to_vec());
        wishes.policy_document = document::of_host("eu-west-1", false, &buckets);
        let warnings = rights(&api, &wishes).await.unwrap().warnings;
        assert!(warnings.is_empty(), "{warnings:?}");
    }
    let all = document::of_host("eu-west-1", true, &Buckets::Named(names)).unwrap();
    assert_eq!(policy(&api, "OwnPolicy").await, (all, 5));
    let (_, actions) = cloud.actions(rights(&api, &wishes)).await;
    assert_eq!(sorted(actions), LOOKS, "it says that already");
}

#[tokio::test]
async fn our_own_role_can_be_taken_up() {
    let cloud = Cloud::global(|_| None);
    let api = cloud.api();
    let wishes = wishes("Trust");
    let other = RightsWishes {
        trust_document: serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"},
                           "Action": "sts:AssumeRole"}],
        }),
        ..wishes.clone()
    };
    rights(&api, &other).await.unwrap();
    // Somebody else is told, and changes nothing.
    let elsewhere = RightsWishes { installation: "two".to_owned(), ..wishes.clone() };
    let warnings = rights(&api, &elsewhere).await.unwrap().warnings;
    assert!(warnings[0].starts_with("hosts cannot take up the role 'TrustRole'"), "{warnings:?}");
    let (_, actions) = cloud.actions(rights(&api, &wishes)).await;
    assert!(actions.contains(&"UpdateAssumeRolePolicy".to_owned()));
    let (_, actions) = cloud.actions(rights(&api, &wishes)).await;
    assert_eq!(sorted(actions), LOOKS);
}

#[tokio::test]
async fn what_somebody_else_made_is_used_and_told_and_stays() {
    let cloud = Cloud::global(|_| None);
    let api = cloud.api();
    let wishes = wishes("Else");
    let theirs = document::of_host("eu-west-1", false, &Buckets::All).unwrap();
    let made = params(&[("PolicyName", "elsePolicy"), ("PolicyDocument", &theirs.to_string())]);
    api.iam("CreatePolicy", &made).await.unwrap();
    let found = rights(&api, &wishes).await.unwrap();
    assert!(found.warnings[0].starts_with("the policy 'ElsePolicy' stays as it is"), "{found:?}");
    assert_eq!(policy(&api, "elsePolicy").await, (theirs, 1));
    assert_eq!(given(&api, &found.profile).await.1, ["elsePolicy"]);
}

#[tokio::test]
async fn a_role_of_somebody_else_gets_no_policy() {
    let cloud = Cloud::global(|_| None);
    let api = cloud.api();
    let wishes = wishes("Theirs");
    let trust = wishes.trust_document.to_string();
    let theirs = params(&[("RoleName", "theirsRole"), ("AssumeRolePolicyDocument", &trust)]);
    api.iam("CreateRole", &theirs).await.unwrap();
    let found = rights(&api, &wishes).await.unwrap();
    let told =
        "the role 'theirsRole', which somebody else made, does not have the policy 'TheirsPolicy'";
    assert!(found.warnings[0].starts_with(told), "{found:?}");
    assert_eq!(given(&api, &found.profile).await, ("theirsRole".to_owned(), Vec::new()));
}

#[tokio::test]
async fn a_profile_of_another_role_stays_and_ours_is_called_after_both() {
    let cloud = Cloud::global(|_| None);
    let api = cloud.api();
    let first = wishes("Profile");
    rights(&api, &first).await.unwrap();
    let named = RightsWishes { role: "mine".to_owned(), ..first.clone() };
    let made = rights(&api, &named).await.unwrap();
    assert_eq!(made.profile, "ProfileLoadFPGA-mine");
    assert_eq!(given(&api, &made.profile).await.0, "mine");
    assert_eq!(given(&api, "ProfileLoadFPGA").await.0, "ProfileRole");
    assert_eq!(rights(&api, &named).await.unwrap(), made);
}

#[tokio::test]
async fn what_was_made_a_moment_ago_is_asked_for_again() {
    let cloud = Cloud::global(|asked| match &*asked["Action"] {
        "AttachRolePolicy" => Some(refusal(404, "NoSuchEntity")),
        _ => None,
    });
    let error = rights(&cloud.api(), &wishes("Moment")).await.unwrap_err();
    assert!(error.is_retryable() && error.kind() == ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn answers_that_are_lost_change_nothing() {
    let cloud = Cloud::global(|_| None);
    let api = cloud.api();
    cloud.lose("CreateRole", "RoleName", "LostRole");
    cloud.lose("CreatePolicy", "PolicyName", "LostPolicy");
    cloud.lose("CreateInstanceProfile", "InstanceProfileName", "LostLoadFPGA");
    cloud.lose("AttachRolePolicy", "RoleName", "LostRole");
    cloud.lose("AddRoleToInstanceProfile", "RoleName", "LostRole");
    let made = rights(&api, &wishes("Lost")).await.unwrap();
    assert_eq!(made.profile, "LostLoadFPGA");
    let expected = ("LostRole".to_owned(), vec!["LostPolicy".to_owned()]);
    assert_eq!(given(&api, &made.profile).await, expected);
}
