//! Where the services of AWS are.

use crate::Settings;

/// Where a service is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name: `ec2.eu-west-1.amazonaws.com`.
    pub name: String,
    /// The region that calls are signed for.
    pub region: String,
}

/// A part of the cloud that has accounts and domains of its own.
struct Partition {
    /// What the names of all that is in it begin with, after `arn:`.
    name: &'static str,
    /// What its regions begin with.
    regions: &'static str,
    domain: &'static str,
    /// The domain of services that IPv6 reaches too, all but S3.
    dual: &'static str,
    /// The region of IAM, which serves all of them.
    home: &'static str,
    /// What stands between `iam` and the two domains.
    iam: [&'static str; 2],
}

/// Source: `partitions.json` and `endpoints.json` of botocore.
const PARTITIONS: [Partition; 8] = [
    Partition {
        name: "aws",
        regions: "",
        domain: "amazonaws.com",
        dual: "api.aws",
        home: "us-east-1",
        iam: ["", "global."],
    },
    Partition {
        name: "aws-cn",
        regions: "cn",
        domain: "amazonaws.com.cn",
        dual: "api.amazonwebservices.com.cn",
        home: "cn-north-1",
        iam: ["cn-north-1.", "global."],
    },
    Partition {
        name: "aws-us-gov",
        regions: GOVERNMENT,
        domain: "amazonaws.com",
        dual: "api.aws",
        home: "us-gov-west-1",
        iam: ["us-gov.", "us-gov."],
    },
    Partition {
        name: "aws-eusc",
        regions: "eusc-de",
        domain: "amazonaws.eu",
        dual: "api.amazonwebservices.eu",
        home: "eusc-de-east-1",
        iam: ["eusc-de-east-1.", ""],
    },
    Partition {
        name: "aws-iso",
        regions: "us-iso",
        domain: "c2s.ic.gov",
        dual: "api.aws.ic.gov",
        home: "us-iso-east-1",
        iam: ["us-iso-east-1.", ""],
    },
    Partition {
        name: "aws-iso-b",
        regions: "us-isob",
        domain: "sc2s.sgov.gov",
        dual: "api.aws.scloud",
        home: "us-isob-east-1",
        iam: ["us-isob-east-1.", ""],
    },
    Partition {
        name: "aws-iso-f",
        regions: "us-isof",
        domain: "csp.hci.ic.gov",
        dual: "api.aws.hci.ic.gov",
        home: "us-isof-south-1",
        iam: ["us-isof-south-1.", ""],
    },
    Partition {
        name: "aws-iso-e",
        regions: "eu-isoe",
        domain: "cloud.adc-e.uk",
        dual: "api.cloud-aws.adc-e.uk",
        home: "eu-isoe-west-1",
        iam: ["eu-isoe-west-1.", ""],
    },
];
const GOVERNMENT: &str = "us-gov";

impl Partition {
    /// That of a region; the largest one has those of which nothing is known.
    fn of(region: &str) -> &'static Self {
        let start = region.rsplitn(3, '-').nth(2).unwrap_or(region);
        let found = PARTITIONS.iter().find(|partition| partition.regions == start);
        found.unwrap_or(&PARTITIONS[0])
    }
}

/// The part of the cloud that a region is in, as the names of all that is there have it: `aws`, `aws-cn`.
pub fn partition(region: &str) -> &'static str {
    Partition::of(region).name
}

impl Settings {
    /// Where a service such as `s3` is for a region, unless [another server](Self::endpoint) is named.
    pub fn server(&self, service: &str, region: &str) -> Server {
        let dual = self.truth("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint");
        let fips = self.truth("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint");
        let partition = Partition::of(region);
        // What the government uses is validated under its plain name.
        let is_plain = match service {
            "s3" => false,
            "iam" => partition.regions == GOVERNMENT,
            _ => partition.regions == GOVERNMENT && !dual,
        };
        let fips = if fips && !is_plain { "-fips" } else { "" };
        let domain = if dual { partition.dual } else { partition.domain };
        if service == "iam" {
            let name = format!("iam{fips}.{}{domain}", partition.iam[usize::from(dual)]);
            return Server { name, region: partition.home.to_owned() };
        }
        let name = match (service, dual) {
            ("s3", true) => format!("s3{fips}.dualstack.{region}.{}", partition.domain),
            _ => format!("{service}{fips}.{region}.{domain}"),
        };
        Server { name, region: region.to_owned() }
    }
}
