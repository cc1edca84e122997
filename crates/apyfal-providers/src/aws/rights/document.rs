//! What policies say.

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::aws::settings::Buckets;

/// What a host may do with images of FPGAs.
const FPGA: [&str; 3] =
    ["ec2:AssociateFpgaImage", "ec2:DisassociateFpgaImage", "ec2:DescribeFpgaImages"];
/// What jobs do with buckets and what is in them.
const BUCKETS: [&str; 8] = [
    "s3:GetBucketLocation",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
];

/// What a host may do: load images of FPGAs where it has some, and reach these buckets and no others.
/// None where that is nothing.
pub(crate) fn of_host(region: &str, has_fpga: bool, buckets: &Buckets) -> Option<Value> {
    let all = ["*".to_owned()];
    let names = match buckets {
        Buckets::All => &all[..],
        Buckets::Named(names) => names,
    };
    let partition = partition(region);
    let arns = names.iter().flat_map(|name| {
        let bucket = format!("arn:{partition}:s3:::{name}");
        [format!("{bucket}/*"), bucket].into_iter().rev()
    });
    let arns: Vec<_> = arns.collect();
    let allow = |id, actions: &[&str], resources: Value| json!({"Sid": id, "Effect": "Allow", "Action": actions, "Resource": resources});
    let mut statements = Vec::new();
    if has_fpga {
        statements.push(allow("Fpga", &FPGA, json!("*")));
    }
    if !arns.is_empty() {
        statements.push(allow("Buckets", &BUCKETS, json!(arns)));
    }
    (!statements.is_empty()).then(|| json!({"Version": "2012-10-17", "Statement": statements}))
}

/// What a document of [`of_host`] says, and all of another one. Statements of the same name are one.
pub(super) fn joined(said: Option<&Value>, needed: &Value) -> Value {
    let Some(said) = said else { return needed.clone() };
    let mut joined = said.clone();
    let Some(statements) = joined["Statement"].as_array_mut() else { return needed.clone() };
    for new in needed["Statement"].as_array().into_iter().flatten() {
        let same = statements.iter_mut().find(|said| said["Sid"] == new["Sid"]);
        let Some(same) = same else {
            statements.push(new.clone());
            continue;
        };
        for part in ["Action", "Resource"] {
            let mut all = list(&same[part]);
            let lacks: Vec<_> =
                list(&new[part]).into_iter().filter(|item| !all.contains(item)).collect();
            if !lacks.is_empty() {
                all.extend(lacks);
                same[part] = all.into();
            }
        }
    }
    joined
}

/// One or several, as IAM takes both.
fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

/// Who may take up the role of hosts: machines of EC2.
pub(crate) fn of_trust(region: &str) -> Value {
    let domain = match partition(region) {
        "aws-cn" => "amazonaws.com.cn",
        _ => "amazonaws.com",
    };
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": format!("ec2.{domain}")},
            "Action": "sts:AssumeRole",
        }],
    })
}

/// A document as IAM gives it: percent-encoded, or as it is.
pub(super) fn read(text: &str) -> Option<Value> {
    let plain = percent_decode_str(text).decode_utf8().ok()?;
    serde_json::from_str(text).or_else(|_| serde_json::from_str(&plain)).ok()
}

/// The part of AWS that a region belongs to, as names of resources begin with it.
fn partition(region: &str) -> &'static str {
    const PARTITIONS: [(&str, &str); 7] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("us-isof-", "aws-iso-f"),
        ("eu-isoe-", "aws-iso-e"),
        ("eusc-", "aws-eusc"),
    ];
    let found = PARTITIONS.iter().find(|(start, _)| region.starts_with(start));
    found.map_or("aws", |(_, partition)| partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Buckets {
        Buckets::Named(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn nothing_is_granted_that_is_not_needed() {
        assert_eq!(of_host("eu-west-1", false, &named(&[])), None);
        let fpga = of_host("eu-west-1", true, &named(&[])).unwrap();
        assert_eq!(fpga["Statement"].as_array().unwrap().len(), 1);
        assert_eq!(fpga["Statement"][0]["Action"], json!(FPGA));
        let buckets = of_host("cn-north-1", false, &named(&["a", "b.c"])).unwrap();
        assert_eq!(
            buckets["Statement"][0]["Resource"],
            json!([
                "arn:aws-cn:s3:::a",
                "arn:aws-cn:s3:::a/*",
                "arn:aws-cn:s3:::b.c",
                "arn:aws-cn:s3:::b.c/*"
            ])
        );
        let all = of_host("us-gov-west-1", true, &Buckets::All).unwrap();
        assert_eq!(all["Statement"][1]["Resource"][0], "arn:aws-us-gov:s3:::*");
        let actions = all["Statement"][1]["Action"].as_array().unwrap();
        assert!(actions.iter().all(|action| !action.as_str().unwrap().contains('*')));
    }

    #[test]
    fn what_one_host_may_no_other_takes_away() {
        let of = |fpga, names: &[&str]| of_host("eu-west-1", fpga, &named(names)).unwrap();
        let both = joined(Some(&of(true, &["a"])), &of(false, &["b"]));
        assert_eq!(both, of(true, &["a", "b"]));
        assert_eq!(joined(Some(&both), &of(false, &["a"])), both);
        assert_eq!(joined(Some(&both), &of(true, &["b"])), both);
        assert_eq!(joined(None, &both), both);
        assert_eq!(joined(Some(&json!({})), &both), both);
    }

    #[test]
    fn machines_of_ec2_take_up_the_role() {
        let service = |region| of_trust(region)["Statement"][0]["Principal"]["Service"].clone();
        assert_eq!(service("eu-west-1"), "ec2.amazonaws.com");
        assert_eq!(service("cn-northwest-1"), "ec2.amazonaws.com.cn");
    }

    #[test]
    fn documents_are_read_in_both_forms() {
        let expected = json!({"a": "b+c 100%41"});
        assert_eq!(read(r#"{"a": "b+c 100%41"}"#), Some(expected.clone()));
        assert_eq!(read("%7B%22a%22%3A%20%22b+c%20100%2541%22%7D"), Some(expected));
        assert_eq!(read("no"), None);
    }
}
