//! What quotas of EC2 are called where they are raised: Service Quotas.

/// The quotas of instances by the letters that a family begins with: those on demand, and of spot.
///
/// Source: "Amazon EC2 endpoints and quotas" of the AWS General Reference.
const INSTANCES: [(&str, [&str; 2]); 10] = [
    ("dl", ["L-6E869C2A", "L-85EED4F7"]),
    ("f", ["L-74FC7D96", "L-88CF9481"]),
    ("g", ["L-DB2E81BA", "L-3819A6DF"]),
    ("inf", ["L-1945791B", "L-B5D1601B"]),
    ("p", ["L-417A185B", "L-7212CCBC"]),
    ("trn", ["L-2C3B7624", "L-6B0D517C"]),
    ("vt", ["L-DB2E81BA", "L-3819A6DF"]),
    ("x", ["L-7295265B", "L-E3A00192"]),
    ("u", ["L-43DA4232", "L-34B43A08"]),
    ("", ["L-1216C47A", "L-34B43A08"]),
];

/// The quota of all vCPUs that instances like one of this type may have together.
pub(super) fn of_instances(instance_type: &str, is_spot: bool) -> &'static str {
    codes(instance_type)[usize::from(is_spot)]
}

/// Whether it is one of the types that every account may have some of.
pub(super) fn is_standard(instance_type: &str) -> bool {
    codes(instance_type) == STANDARD
}

const STANDARD: &[&str; 2] = &INSTANCES[INSTANCES.len() - 1].1;

fn codes(instance_type: &str) -> &'static [&'static str; 2] {
    let digits = instance_type.find(|letter: char| !letter.is_ascii_lowercase());
    let family = &instance_type[..digits.unwrap_or(instance_type.len())];
    let found = INSTANCES.iter().find(|(letters, _)| *letters == family);
    found.map_or(STANDARD, |(_, codes)| codes)
}

/// The quota that a code of an error stands for, where that is not one of instances.
pub(super) fn of_code(code: &str) -> Option<(&'static str, &'static str)> {
    Some(match code {
        "AddressLimitExceeded" => ("ec2", "L-0263D0A3"),
        "VpcLimitExceeded" => ("vpc", "L-F678F1CE"),
        "SecurityGroupLimitExceeded" => ("vpc", "L-E79EC296"),
        "RulesPerSecurityGroupLimitExceeded" => ("vpc", "L-0EA8095F"),
        "TooManyBuckets" => ("s3", "L-DC2B2D3D"),
        "NetworkInterfaceLimitExceeded" => ("vpc", "L-DF5E4CA3"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_quotas_of_their_own() {
        assert_eq!(of_instances("f2.6xlarge", false), "L-74FC7D96");
        assert_eq!(of_instances("f2.6xlarge", true), "L-88CF9481");
        assert_eq!(of_instances("c7i.xlarge", false), "L-1216C47A");
        assert_eq!(of_instances("inf2.xlarge", true), "L-B5D1601B");
        assert_eq!(of_instances("", true), "L-34B43A08");
        assert!(is_standard("c7g.xlarge") && !is_standard("f2.6xlarge"));
    }
}
