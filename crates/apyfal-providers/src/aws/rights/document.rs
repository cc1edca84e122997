//! What policies say.

use apyfal_aws::partition;
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

/// What a document says, and all of another one. Statements of the same name are one.
pub(crate) fn joined(said: Option<&Value>, needed: &Value) -> Value {
    let Some(said) = said.filter(|said| said["Statement"] != Value::Null) else {
        return needed.clone();
    };
    let mut joined = said.clone();
    let mut statements = list(&said["Statement"]);
    for new in list(&needed["Statement"]) {
        let is_same = |said: &&mut Value| match new["Sid"].is_string() {
            true => said["Sid"] == new["Sid"],
            false => **said == new,
        };
        let Some(same) = statements.iter_mut().find(is_same) else {
            statements.push(new);
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
    if statements.len() > 1 || said["Statement"].is_array() {
        joined["Statement"] = statements.into();
    } else if let Some(only) = statements.pop() {
        joined["Statement"] = only;
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
        // What users write has statements without a name, and one that stands alone.
        let deny = json!({"Effect": "Deny", "Action": "s3:*", "Resource": "*"});
        let own = json!({"Version": "2012-10-17", "Statement": deny});
        let with_own = joined(Some(&own), &of(false, &["a"]));
        assert_eq!(with_own["Statement"][0], deny);
        assert_eq!(with_own["Statement"][1]["Sid"], "Buckets");
        assert_eq!(joined(Some(&with_own), &own), with_own);
        assert_eq!(joined(Some(&own), &own), own);
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
