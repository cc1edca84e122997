//! The image that a machine starts from: found by what the catalog or the user says of it.

use apyfal_core::{Error, ErrorKind, Image, Result};
use serde_json::json;

use super::api::{Api, Params};
use super::element::Element;
use super::failure;

/// An image, as EC2 tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ami {
    /// `ami-…`.
    pub(crate) id: String,
    pub(crate) name: String,
    /// The account that it belongs to.
    pub(crate) owner: String,
    /// `x86_64` or `arm64`.
    pub(crate) architecture: String,
    /// What it calls its volumes, that of its system first: `/dev/sda1`.
    pub(crate) volumes: Vec<String>,
    /// Who logs in to it.
    pub(crate) user: &'static str,
}

/// Looks for an image: by its id, by a parameter of Systems Manager that has that, or the newest of an
/// account.
///
/// # Errors
/// There is none in this region, or nobody may start from it.
pub(crate) async fn find(api: &Api, named: &Image) -> Result<Ami> {
    let found = async {
        match named {
            Image::Id(id) if id.starts_with("ami-") => by_id(api, id).await,
            Image::Id(_) => Err(Error::new(ErrorKind::Configuration, "it is none that AWS knows")
                .hint("write its id: ami-…")
                .hint("or the parameter of Systems Manager that has it: resolve:ssm:/aws/service/…")
                .hint("or what the catalog calls it: apyfal requirements")),
            Image::Parameter { ssm } => by_id(api, &id_in(api, ssm).await?).await,
            Image::Name { name, owner } => newest(api, owner, name).await,
        }
    };
    found.await.map_err(|error| error.operation(format!("use image '{named}'")))
}

async fn by_id(api: &Api, id: &str) -> Result<Ami> {
    let params = vec![("ImageId.1".to_owned(), id.to_owned())];
    let found = api.ec2_all("DescribeImages", &params, "imagesSet").await;
    let found = found.map_err(|error| match failure::code(&error) {
        // By this AWS says as well that it belongs to somebody who does not share it.
        Some("AuthFailure") => error
            .with_kind(ErrorKind::Security)
            .without_hints()
            .hint("its owner has to share it with this account, or make it public"),
        _ => error,
    })?;
    let Some(image) = found.into_iter().next() else {
        let error = Error::new(ErrorKind::Configuration, "there is no such image");
        return Err(error.context("region", api.region()).hint("an image is of one region"));
    };
    match image.text("imageState") {
        _ if image.text("platform") == Some("windows") => {
            Err(Error::new(ErrorKind::Configuration, "it is one of Windows")
                .hint("name one of Linux"))
        }
        Some("available") | None => Ok(read(&image)),
        Some(state) => {
            let error = Error::new(ErrorKind::Configuration, format!("the image is {state}"));
            Err(match state {
                "pending" => error.hint("try again when it is made").retryable(),
                _ => error.hint("name another one"),
            })
        }
    }
}

/// The id that a parameter has.
async fn id_in(api: &Api, parameter: &str) -> Result<String> {
    let answer = api.ssm("GetParameter", &json!({ "Name": parameter })).await;
    let answer = answer.map_err(|error| match error.kind() {
        ErrorKind::NotFound => error.with_kind(ErrorKind::Configuration).hint(format!(
            "is it one of {}: aws ssm get-parameter --name {parameter}",
            api.region()
        )),
        _ => error,
    })?;
    match answer["Parameter"]["Value"].as_str() {
        Some(id) if id.starts_with("ami-") => Ok(id.to_owned()),
        _ => Err(Error::new(ErrorKind::Configuration, "the parameter has no id of an image")),
    }
}

async fn newest(api: &Api, owner: &str, name: &str) -> Result<Ami> {
    let params: Params = [
        ("Owner.1", owner),
        ("Filter.1.Name", "name"),
        ("Filter.1.Value.1", name),
        ("Filter.2.Name", "state"),
        ("Filter.2.Value.1", "available"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let found = api.ec2_all("DescribeImages", &params, "imagesSet").await?;
    // Times of this form are in the order of their letters; the id makes the choice the same each time.
    let age = |image: &Element| {
        ["creationDate", "imageId"].map(|key| image.text(key).unwrap_or_default().to_owned())
    };
    let newest = found.iter().max_by_key(|image| age(image));
    newest.map(read).ok_or_else(|| {
        Error::new(ErrorKind::Configuration, format!("account {owner} has none of that name"))
            .context("region", api.region())
            .hint("'*' stands for anything: ubuntu/images/*")
    })
}

fn read(image: &Element) -> Ami {
    let text = |key: &str| image.text(key).unwrap_or_default().to_owned();
    let (name, owner) = (text("name"), text("imageOwnerId"));
    let root = image.text("rootDeviceName").filter(|_| image.text("rootDeviceType") == Some("ebs"));
    let is_volume = |device: &&Element| device.at("ebs").is_some();
    let others = image.items("blockDeviceMapping").filter(is_volume);
    let others = others.filter_map(|device| device.text("deviceName"));
    let others = others.filter(|name| Some(*name) != root);
    Ami {
        id: text("imageId"),
        architecture: text("architecture"),
        volumes: root.into_iter().chain(others).map(str::to_owned).collect(),
        user: user(&name, &owner),
        name,
        owner,
    }
}

impl Ami {
    /// The version of the GNU C library that it has, where its name tells.
    pub(crate) fn glibc(&self) -> Option<(u32, u32)> {
        let name = self.name.to_ascii_lowercase();
        // Sources: the package lists of the makers.
        let known = [
            ("ubuntu-noble-24.04", 39),
            ("ubuntu-jammy-22.04", 35),
            ("ubuntu-focal-20.04", 31),
            ("debian-13", 41),
            ("debian-12", 36),
            ("debian-11", 31),
            ("al2023", 34),
            ("amzn2", 26),
            ("rocky-9", 34),
            ("rocky-8", 28),
            ("rhel-9", 34),
            ("rhel-8", 28),
        ];
        known.iter().find(|(part, _)| name.contains(part)).map(|(_, minor)| (2, *minor))
    }
}

/// Who logs in to an image, which only its maker's documentation says. Source: EC2, "Default user
/// names" of images, and those of the makers.
fn user(name: &str, owner: &str) -> &'static str {
    let name = name.to_ascii_lowercase();
    let by_name = [
        ("ubuntu", "ubuntu"),
        ("debian", "admin"),
        ("rocky", "rocky"),
        ("fedora", "fedora"),
        ("centos linux", "centos"),
        ("centos stream 8", "centos"),
        ("bitnami", "bitnami"),
        ("flatcar", "core"),
        ("coreos", "core"),
        ("kali", "kali"),
        ("arch-linux", "arch"),
    ];
    let by_owner =
        [("099720109477", "ubuntu"), ("136693071363", "admin"), ("792107900819", "rocky")];
    let by_name = by_name.iter().find(|(part, _)| name.contains(part));
    let found = by_name.or_else(|| by_owner.iter().find(|(account, _)| *account == owner));
    match found {
        Some((_, user)) => user,
        // The first ones of AWS for FPGAs stood on CentOS 7, and had no system in their name.
        None if name.starts_with("fpga developer ami - 1.") => "centos",
        None => "ec2-user",
    }
}

#[cfg(test)]
mod tests {
    use apyfal_testkit::{Answer, Cloud, FaultServer};

    use super::*;
    use crate::aws::testing::{api, api_of, of_cloud};

    const UBUNTU: &str =
        "/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id";

    fn id(id: &str) -> Image {
        Image::Id(id.to_owned())
    }

    #[tokio::test]
    async fn it_is_found_by_id_by_parameter_and_by_name() {
        let cloud = Cloud::start().unwrap();
        let api = api_of(&of_cloud(&cloud));
        let parameter = |ssm: &str| Image::Parameter { ssm: ssm.to_owned() };
        let newest = |owner: &str, name: &str| Image::Name {
            name: name.to_owned(),
            owner: owner.to_owned(),
        };
        let found = find(&api, &parameter(UBUNTU)).await.unwrap();
        assert_eq!((&*found.architecture, found.user), ("arm64", "ubuntu"));
        assert_eq!(found.volumes, ["/dev/sda1"]);
        assert_eq!(find(&api, &id(&found.id)).await.unwrap(), found);
        let named = newest(&found.owner, "ubuntu/*-arm64-server-*");
        assert_eq!(find(&api, &named).await.unwrap(), found);
        let debian = find(&api, &newest("136693071363", "debian-12-amd64-*")).await.unwrap();
        assert_eq!((debian.user, &*debian.architecture), ("admin", "x86_64"));

        for (named, expected) in [
            (id("ubuntu"), "resolve:ssm:"),
            (id("ami-00000000000000000"), "one region"),
            (parameter("/aws/service/nothing"), "aws ssm get-parameter"),
            (newest("136693071363", "nothing-*"), "has none of that name"),
        ] {
            let error = find(&api, &named).await.unwrap_err();
            let whole = format!("{error} {:?}", error.hints());
            assert_eq!(error.kind(), ErrorKind::Configuration, "{whole}");
            assert!(whole.contains(expected) && whole.contains(&named.to_string()), "{whole}");
        }
    }

    #[tokio::test]
    async fn one_that_nobody_can_start_from_is_refused() {
        let server = FaultServer::start(|request| match request.number {
            0 => Answer::new(
                401,
                "<Response><Errors><Error><Code>AuthFailure</Code><Message>Not authorized for \
                 images: [ami-1]</Message></Error></Errors></Response>",
            ),
            number => {
                let told = [
                    "<imageState>pending</imageState>",
                    "<imageState>failed</imageState>",
                    "<imageState>available</imageState><platform>windows</platform>",
                ][number - 1];
                Answer::new(200, format!("<R><imagesSet><item>{told}</item></imagesSet></R>"))
            }
        });
        let server = server.unwrap();
        let api = api(&server.url());
        let error = find(&api, &id("ami-1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Security);
        assert!(error.hints()[0].contains("share"), "{error:?}");
        let error = find(&api, &id("ami-1")).await.unwrap_err();
        assert!(error.is_retryable() && error.to_string().contains("pending"), "{error}");
        assert!(!find(&api, &id("ami-1")).await.unwrap_err().is_retryable());
        let error = find(&api, &id("ami-1")).await.unwrap_err();
        assert!(error.to_string().contains("Windows"), "{error}");
    }

    #[test]
    fn its_volumes_are_those_that_last() {
        let image = Element::parse(
            "<item><rootDeviceType>ebs</rootDeviceType><rootDeviceName>/dev/b</rootDeviceName>\
             <blockDeviceMapping><item><deviceName>/dev/a</deviceName><ebs/></item>\
             <item><deviceName>/dev/b</deviceName><ebs/></item>\
             <item><deviceName>/dev/c</deviceName><virtualName>ephemeral0</virtualName></item>\
             </blockDeviceMapping></item>",
        );
        assert_eq!(read(&image.unwrap()).volumes, ["/dev/b", "/dev/a"]);
    }

    #[test]
    fn what_c_library_it_has_is_known_by_its_name() {
        let glibc = |name: &str| {
            let item = format!("<item><name>{name}</name></item>");
            read(&Element::parse(&item).unwrap()).glibc()
        };
        let ubuntu = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-1";
        assert_eq!(glibc(ubuntu), Some((2, 39)));
        assert_eq!(glibc("al2023-ami-2023.5.2-kernel-6.1-x86_64"), Some((2, 34)));
        assert_eq!(glibc("mine"), None);
    }

    #[test]
    fn who_logs_in_is_known() {
        for (name, owner, expected) in [
            ("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-1", "", "ubuntu"),
            ("al2023-ami-2023.5.20240916.0-kernel-6.1-x86_64", "137112412989", "ec2-user"),
            ("RHEL-9.4.0_HVM-1-x86_64-1-Hourly2-GP3", "309956199498", "ec2-user"),
            ("debian-12-amd64-20260601-1", "136693071363", "admin"),
            ("Rocky-9-EC2-Base-9.4.x86_64", "792107900819", "rocky"),
            ("mine", "099720109477", "ubuntu"),
            ("FPGA Developer AMI - 1.10.0-40257ab5", "679593333241", "centos"),
            ("FPGA Developer AMI (Ubuntu) - 1.16.1-prod", "679593333241", "ubuntu"),
            ("FPGA Developer AMI (Rocky Linux) - 1.19.0-prod", "679593333241", "rocky"),
            ("CentOS Stream 9 x86_64 20240101", "125523088429", "ec2-user"),
            ("mine", "123456789012", "ec2-user"),
        ] {
            assert_eq!(user(name, owner), expected, "{name}");
        }
    }
}
